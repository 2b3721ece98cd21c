"""A step in one pass over memory: kernels made of the rule's own arithmetic."""
