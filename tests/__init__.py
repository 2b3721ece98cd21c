"""The suite: laws, oracles, and one file per module."""
