"""Data sets, HSV targets, blood compositing, loops, export of a bundle."""
