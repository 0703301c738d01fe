"""Network, model bundle, predictor and the HSV baseline."""
