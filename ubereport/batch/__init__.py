"""Manifest, run, resume: composes many cases."""
