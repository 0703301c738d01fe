"""Segmentation, agreement between annotators and events against ground truth."""
