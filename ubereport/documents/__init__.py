"""What people read of several cases: comparison, audit, the summary of a batch."""
