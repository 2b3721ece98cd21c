"""Trees of parameters and gradients to check laws on, and how they shrink."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SHAPES = ((), (1,), (3,), (2, 3), (3, 2), (2, 1, 3), (1, 4), (2, 2, 1, 3))
"""The shapes of leaves, from which random trees are drawn."""

SMALLER = ((), (1,), (2,), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3))
"""The shapes that a leaf of a failing example is replaced by, the smallest first."""


@dataclasses.dataclass(frozen=True)
class Example:
    """Trees that a law is checked on.

    Attributes:
        shapes: the shape of each leaf. The first is `a`, the second `nest/b`, and the
            others are in the list `rest`.
        param_dtype: the dtype of the parameters.
        grad_dtype: that of the gradients.
        steps: how many updates are taken.
        seed: of the numbers.
        given: a tree of parameters in the place of the shapes, from which the gradients
            have structure and shapes.
    """

    shapes: tuple[tuple[int, ...], ...] = ((2, 3), ())
    param_dtype: str = "float32"
    grad_dtype: str = "float32"
    steps: int = 2
    seed: int = 0
    given: Any = dataclasses.field(default=None, compare=False)

    def tree(self, values: list[Any]) -> Any:
        """Return a tree with one value for each leaf."""
        if self.given is not None:
            return jax.tree.unflatten(jax.tree.structure(self.given), values)
        made: dict[str, Any] = {}
        for i, value in enumerate(values):
            if i == 0:
                made["a"] = value
            elif i == 1:
                made["nest"] = {"b": value}
            else:
                made.setdefault("rest", []).append(value)
        return made

    def of(self, param_dtype: str, grad_dtype: str) -> "Example":
        """Return the same example in other dtypes."""
        both = {"param_dtype": param_dtype, "grad_dtype": grad_dtype}
        return dataclasses.replace(self, **both)

    def leaf_shapes(self) -> list[tuple[int, ...]]:
        if self.given is None:
            return list(self.shapes)
        return [tuple(x.shape) for x in jax.tree.leaves(self.given)]

    def _drawn(self, seed: tuple[int, ...], dtype: str) -> Any:
        rng = np.random.default_rng(seed)
        values = []
        for shape in self.leaf_shapes():
            size = 10.0 ** rng.uniform(-1, 1, shape)
            values.append(size * (0.2 + rng.standard_normal(shape)))
        return self.tree([jnp.asarray(x, dtype) for x in values])

    def params(self) -> Any:
        if self.given is not None and not _is_abstract(self.given):
            return jax.tree.map(lambda x: jnp.asarray(x, self.param_dtype), self.given)
        return self._drawn((self.seed, 0), self.param_dtype)

    def gradients(self) -> list[Any]:
        """Return the gradients of each step."""
        return [
            self._drawn((self.seed, 1 + k), self.grad_dtype) for k in range(self.steps)
        ]

    def __str__(self) -> str:
        shapes = [
            f"{self.param_dtype}[{', '.join(map(str, s))}]" for s in self.leaf_shapes()
        ]
        same = self.param_dtype == self.grad_dtype
        gradients = "" if same else f", gradients of {self.grad_dtype}"
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        shown = str(self.tree(shapes)).replace("'", "")
        return f"parameters {shown}{gradients} and {steps}"

    @property
    def size(self) -> tuple[int, int, int]:
        """Return what is made smaller: elements and leaves, then axes, then steps."""
        shapes = self.leaf_shapes()
        elements = sum(int(np.prod(s)) for s in shapes)
        return elements + len(shapes), sum(map(len, shapes)), self.steps

    def smaller(self) -> Iterator["Example"]:
        """Yield examples that are smaller, the smallest first."""
        found = []
        if self.given is None:
            for shape in self.shapes:
                found += [(s,) for s in (*SMALLER, shape)]
            for i in range(len(self.shapes)):
                found.append(self.shapes[:i] + self.shapes[i + 1 :])
        made = [dataclasses.replace(self, shapes=s) for s in dict.fromkeys(found) if s]
        steps = [dataclasses.replace(self, steps=k) for k in range(1, self.steps)]
        both = [dataclasses.replace(x, steps=1) for x in made if self.steps > 1]
        each = {x for x in (*made, *steps, *both) if x.size < self.size}
        yield from sorted(each, key=lambda x: x.size)


def _is_abstract(tree: Any) -> bool:
    return any(isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(tree))


def drawn(number: int, seed: int) -> list[Example]:
    """Return examples with random shapes, always the same for one seed."""
    rng = np.random.default_rng((seed, 77))
    found = []
    for i in range(number):
        many = int(rng.integers(1, 5))
        shapes = tuple(SHAPES[int(k)] for k in rng.integers(0, len(SHAPES), many))
        found.append(Example(shapes, seed=seed + i + 1))
    return found


def smallest(
    example: Example, fails: Callable[[Example], str | None], tries: int
) -> tuple[Example, str]:
    """Return the smallest example found for which a law fails, and how.

    Args:
        example: one for which it fails.
        fails: what is wrong for an example, or None.
        tries: how many are tried at most.
    """
    told = fails(example) or ""
    left = itertools.repeat(None, tries)
    while True:
        for smaller in example.smaller():
            if next(left, 0) == 0:
                return example, told
            got = fails(smaller)
            if got is not None:
                example, told = smaller, got
                break
        else:
            return example, told
