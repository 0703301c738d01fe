"""Composes the pipe for one case."""
