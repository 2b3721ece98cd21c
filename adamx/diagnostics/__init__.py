"""Looking at optimizers: pictures of what they do. Needs the extra `plot`."""
