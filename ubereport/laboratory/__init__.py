"""Where networks are trained and judged and recordings simulated; the clinic imports none of it."""
