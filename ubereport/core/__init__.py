"""What every room speaks in: frozen, unit-named types, settings and errors; no I/O."""
