"""Past one device: meshes, `shard_map`, stacks of layers, sharded state."""
