"""Tests of the documentation site, in pure Python."""
