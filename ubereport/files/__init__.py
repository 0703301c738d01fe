"""What lies on a disk: where templates and models are, and how a file is written."""
