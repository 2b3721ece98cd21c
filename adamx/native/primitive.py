"""The steps of several leaves as one operation of JAX, which each platform lowers.

Where nothing better is known it is the plain arithmetic; `adamx.kernels.lowering` knows
what is better. Under `vmap` and in derivatives it is the plain arithmetic too.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .leaf_loop import LeafLoop
from .plain_primitive import plain_primitive

# operands and results of one call: XLA's compile time grows with their square
LEAVES = 32


class LeafStep(NamedTuple):
    """One leaf of a call.

    Attributes:
        loop: its arithmetic, and the native loop of it.
        operands: which operands of the call it is given.
        leaf: its place in the tree.
    """

    loop: LeafLoop
    operands: tuple[int, ...]
    leaf: int


def plain(*operands: Any, steps: tuple[LeafStep, ...]) -> list:
    """Compute the same by JAX's own operations."""
    results = []
    for step in steps:
        results += step.loop.outlined(*(operands[i] for i in step.operands))
    return results


def _out_avals(steps: tuple[LeafStep, ...]) -> list:
    return [aval for step in steps for aval in step.loop.closed.out_avals]


leaf_steps_p = plain_primitive("adamx_leaf_steps", plain, _out_avals)


def leaf_steps(calls: Sequence[tuple[LeafLoop, Sequence, int]]) -> list[list]:
    """Return the results of every leaf: of its function, given its operands.

    `calls` has for each its loop, its operands and its place in the tree.
    """
    results = []
    for first in range(0, len(calls), LEAVES):
        group = calls[first : first + LEAVES]
        given: dict[int, int] = {}  # operands by identity: many are shared
        operands: list = []
        steps = []
        for loop, own, leaf in group:
            numbers = []
            for x in own:
                if id(x) not in given:
                    given[id(x)] = len(operands)
                    operands.append(x)
                numbers.append(given[id(x)])
            steps.append(LeafStep(loop, tuple(numbers), leaf))
        flat = iter(leaf_steps_p.bind(*operands, steps=tuple(steps)))
        for loop, *_ in group:
            results.append([next(flat) for _ in loop.closed.out_avals])
    return results


def is_whole(context: Any) -> bool:
    """Return whether a program is given arrays as each device has them."""
    axes = context.axis_context
    devices = getattr(axes, "num_devices", None)
    if devices is None:  # inside shard_map, if no axis is left to the compiler
        mesh, manual = getattr(axes, "mesh", None), getattr(axes, "manual_axes", ())
        devices = 1
        for name, size in mesh.shape.items() if mesh is not None else ():
            devices *= 1 if name in manual else size
    return devices == 1
