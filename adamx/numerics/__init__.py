"""Numerical functions of arrays: arithmetic, norms, matrices and random bits."""
