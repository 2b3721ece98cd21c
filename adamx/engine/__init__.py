"""The engine: what a rule is, and how it runs on every leaf of a tree."""
