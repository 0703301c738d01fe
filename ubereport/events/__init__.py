"""Smoothing, hysteresis and hemostasis events."""
