"""Runs independent jobs: embedded (processes on this machine) and Ray."""
