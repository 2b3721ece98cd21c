"""Tests of what describes, compares, cites, writes and creates transformations."""
