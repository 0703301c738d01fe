"""Typer commands: parse, frozen configuration, one library call, print."""
