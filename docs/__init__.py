"""The documentation site: its pages, its extension, and the check of what is built."""
