"""A registry of metrics; one pure function each."""
