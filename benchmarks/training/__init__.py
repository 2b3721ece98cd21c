"""What is shown by training: published experiments, failure modes, stored moments."""
