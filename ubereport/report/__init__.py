"""View models, figures, HTML and PDF."""
