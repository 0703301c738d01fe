"""Field of view (content area) and validity of a frame, each loss with a reason."""
