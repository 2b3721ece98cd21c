"""Past one device: where the arrays of a state are, and states without values."""
