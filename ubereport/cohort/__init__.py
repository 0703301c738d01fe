"""Tables, comparison, control charts, funnel, learning curve, time to clear."""
