"""The Sphinx extension of the documentation site."""
