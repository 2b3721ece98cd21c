"""Makes the numbers that fill a tree, without JAX: the same in every process."""

import numpy as np


def normal(leaves: int, size: int, seed: int) -> dict[str, np.ndarray]:
    """`leaves` float32 vectors of `size` normal random numbers, on the host."""
    rng = np.random.default_rng(seed)
    return {
        f"leaf_{i:04}": rng.standard_normal(size, np.float32) for i in range(leaves)
    }
