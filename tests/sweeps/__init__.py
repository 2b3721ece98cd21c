"""Tests of sweeps and of the range test."""
