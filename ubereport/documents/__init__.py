"""What people read: the report of a case, and documents of several cases."""
