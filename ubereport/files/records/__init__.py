"""A case folder on disk: write atomically, read, schema, provenance."""
