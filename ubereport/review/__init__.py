"""What people confirm, strike or mend in a measured case, kept beside it and never over it."""
