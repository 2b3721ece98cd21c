"""Trains on a mesh of devices, beside one device: `trainer` is the tutorial."""

from benchmarks.training.sharded.command import main

__all__ = ["main"]
