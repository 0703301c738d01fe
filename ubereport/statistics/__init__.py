"""Estimates and tests, and the one way to SciPy."""
