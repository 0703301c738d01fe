"""Where networks are judged and recordings simulated; nothing of the clinic imports it."""
