"""Packet index, sampling plans, readers, parts of one case, decode process."""
