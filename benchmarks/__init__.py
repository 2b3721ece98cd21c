"""Measurements of adamx beside its peers: `python -m benchmarks` lists them."""
