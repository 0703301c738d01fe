"""The nouns of the program: frozen, unit-named types over numpy and the standard library."""
