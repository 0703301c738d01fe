"""The front door: what `import ubereport` offers, and what the command line calls."""
