"""The function of a leaf with its native loop, and the call of several of them."""

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from . import compiler, handler
from .flatten import Constant, Flat, flatten
from .graph import Unfit
from .hoisting import hoisted
from .kernel import Kernel, kernel
from .operands import Operands
from .program import build


class LeafLoop:
    """The arithmetic of one leaf, once for all leaves that are alike.

    Args:
        closed: its jaxpr.
        shape: of the leaf.
        pairs: (input, output) that may have the same memory.
        source: what its inputs are, from which `adamx.kernels` makes its kernels.

    Attributes:
        why_not: the reason why there is no native loop, or "".
    """

    def __init__(
        self,
        closed: Any,
        shape: tuple[int, ...],
        pairs: tuple[tuple[int, int], ...],
        source: Any = None,
    ) -> None:
        self.closed, self.shape, self.pairs = closed, shape, pairs
        self.source = source
        # traced and compiled once for leaves that are alike
        self.outlined = jax.jit(jaxpr_as_fun(closed))

    @property
    def why_not(self) -> str:
        return compiler.why_not() or self._unfit

    @functools.cached_property
    def _unfit(self) -> str:
        try:
            self.made  # noqa: B018
        except Unfit as unfit:
            return str(unfit)
        return ""

    @functools.cached_property
    def made(self) -> "Made":
        """The native loop; raises `Unfit`."""
        return Made(flatten(self.closed), self.shape, self.pairs)


class Made:
    """A native loop and how it is called.

    Attributes:
        scalars: what XLA computes first, from the scalars among the operands.
        passed: outputs that are an operand unchanged, with its number.
        constant: outputs that are known.
        kernel: the loop of the others; its inputs are the operands, then what XLA has
            computed first.
    """

    def __init__(
        self, flat: Flat, shape: tuple[int, ...], pairs: tuple[tuple[int, int], ...]
    ) -> None:
        outputs = list(enumerate(flat.outputs))
        self.constant = {i: v for i, v in outputs if isinstance(v, Constant)}
        computed = [(i, v) for i, v in outputs if i not in self.constant]
        self.passed = {i: v for i, v in computed if v < len(flat.inputs)}
        self.computed = [i for i, _ in computed if i not in self.passed]
        self.out_avals = [flat.out_avals[i] for i in self.computed]
        kept = flat._replace(
            outputs=tuple(flat.outputs[i] for i in self.computed),
            out_avals=tuple(self.out_avals),
        )
        self.scalars, inner = hoisted(kept)
        program = build(inner, shape)
        self.aliases = {
            self.computed.index(o): i for i, o in pairs if o in self.computed
        }
        rows = program.rows
        self.kernel: Kernel = kernel(program, self.aliases)
        self.units = rows.count * rows.blocks
        self.sizes = rows.length, rows.blocks, rows.pairs
        self.operands = len(flat.inputs)


def called(
    calls: Sequence[tuple[LeafLoop, list]], otherwise: Callable[[LeafLoop], Any]
) -> list:
    """Compute the steps of several leaves in one call of native loops.

    Those that have none are computed beside it, by the function that `otherwise`
    returns for them.
    """
    results: list[list] = []
    operands = Operands()
    out_avals: list = []
    leaves, waiting = [], []
    for loop, given in calls:
        if loop.why_not:
            results.append(list(otherwise(loop)(*given)))
            continue
        made = loop.made
        inputs = [*given, *made.scalars(given)]
        arrays = operands.add(made.kernel, inputs, made.aliases, len(out_avals))
        address = compiler.address_of(made.kernel)
        k = made.kernel
        leaves.append(
            handler.Leaf(address, k.name, made.units, k.unit, made.sizes, tuple(arrays))
        )
        mine: list = [None] * len(loop.closed.out_avals)
        for out, i in made.passed.items():
            mine[out] = given[i]
        for out, known in made.constant.items():
            mine[out] = jnp.asarray(known.value, known.aval.dtype)
        waiting.append((len(results), made.computed, len(out_avals)))
        out_avals += made.out_avals
        results.append(mine)
    if leaves:
        name = handler.name_of(leaves)
        register(name, leaves)
        types = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in out_avals]
        call = jax.ffi.ffi_call(name, types, input_output_aliases=operands.aliases)
        done = call(*operands.arrays)
        for place, outputs, first in waiting:
            for n, out in enumerate(outputs):
                results[place][out] = done[first + n]
    return [x for each in results for x in each]


_registered: set[str] = set()


def register(name: str, leaves: Sequence[handler.Leaf]) -> None:
    """Compile the handler of a group and tell XLA of it, once, whichever thread asks.

    The name says what the handler does.
    """
    with compiler.LOCK:
        if name not in _registered:
            address = compiler.compiled(handler.code_of(name, leaves), name)
            made = jax.ffi.pycapsule(ctypes.cast(address, ctypes.c_void_p))
            jax.ffi.register_ffi_target(name, made, platform="cpu")
            _registered.add(name)
