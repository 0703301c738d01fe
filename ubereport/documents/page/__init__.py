"""Pages and drawings that every document is made of: blocks, figures, HTML, PDF."""
