"""The trees of parameters that are measured, and the arrays that fill them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.cost.harness import arrays


@dataclasses.dataclass(frozen=True)
class Tree:
    """`leaves` float32 vectors of `size` elements each."""

    name: str
    leaves: int
    size: int

    def __str__(self) -> str:
        return f"{self.leaves:,} × {self.size:,}"

    def shaped(self, size: int | None = None) -> dict[str, jax.ShapeDtypeStruct]:
        """The tree without its data, its leaves resized to `size` where it is given."""
        like = jax.ShapeDtypeStruct((size or self.size,), jnp.float32)
        return {f"leaf_{i:04}": like for i in range(self.leaves)}

    def host(self, seed: int) -> dict[str, np.ndarray]:
        """Normal random numbers, on the host."""
        return arrays.normal(self.leaves, self.size, seed)


def square(n: int, count: int) -> dict[str, jax.ShapeDtypeStruct]:
    """`count` float32 matrices of n × n, without their data."""
    return {f"w{i}": jax.ShapeDtypeStruct((n, n), jnp.float32) for i in range(count)}


def fresh(host: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """The same numbers in buffers of their own on the default device."""
    return jax.block_until_ready({k: jnp.array(x, copy=True) for k, x in host.items()})


FULL = {
    "1": Tree("1", 1, 32_000_000),
    "148": Tree("148", 148, 10_000),
    "1000": Tree("1000", 1_000, 1_000),
}

QUICK = {
    "1": Tree("1", 1, 100_000),
    "148": Tree("148", 6, 1_000),
    "1000": Tree("1000", 12, 100),
}
"""Small stand-ins that show that the harness runs; no bar is judged on them."""
