"""What is put around a whole optimizer."""
