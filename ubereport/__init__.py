"""Postoperative reports of how much of the endoscopic view was obscured by blood."""

__version__ = "0.1.0"
