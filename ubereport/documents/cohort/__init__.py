"""What people read of several cases: comparison and audit."""
