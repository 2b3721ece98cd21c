"""What kernels of all platforms share: the arithmetic of a tile."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from ..engine.inlining import inlined, opened
from ..engine.leaf_parts import LeafParts
from .scalars import Packing

# of numbers, each by itself
ELEMENTWISE = frozenset(
    {
        *("abs", "add", "add_any", "and", "atan2", "bitcast_convert_type", "ceil"),
        *("clamp", "clz", "convert_element_type", "copy", "cos", "div", "eq"),
        *("erf_inv", "exp", "exp2", "floor", "ge", "gt", "integer_pow", "is_finite"),
        *("le", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg"),
        *("nextafter", "not", "or", "population_count", "pow", "rem", "rsqrt"),
        *("select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical"),
        *("sin", "sqrt", "square", "sub", "tan", "tanh", "xor"),
    }
)
# of blocks
SHAPING = frozenset({"broadcast_in_dim", "iota", "reduce_max", "reshape", "squeeze"})


class Platform(NamedTuple):
    """What a platform's kernels can compute.

    Attributes:
        name: JAX's name for it, by which forms of a codec are chosen.
        operations: the names of the operations that they have.
        instead: functions for operations, and for calls, that they do not have or that
            take long.
        dtypes: those of the arrays that they can read and write.
    """

    name: str
    operations: frozenset[str]
    instead: Mapping[str, Callable[..., Any]]
    dtypes: frozenset[str]


def prepared_by(
    divide: Callable[[LeafParts], Any],
    platform: Platform,
    kernel: Callable[[LeafParts, Packing, Any, Any], Any],
    parts: LeafParts,
    packing: Packing,
) -> Any:
    """Return the kernel of a leaf, or why there is none.

    `divide` returns how a leaf is divided, with its `tile`, or why it cannot be;
    `kernel` makes one of the parts, the scalars, that, and the step of a tile.
    """
    divided = divide(parts)
    if isinstance(divided, str):
        return divided
    if packing.why_not:
        return packing.why_not
    compute = body(parts, packing.dtypes, divided.tile, platform)
    if isinstance(compute, str):
        return compute
    return kernel(parts, packing, divided, compute)


def body(
    parts: LeafParts,
    dtypes: Sequence[Any],
    tile: tuple[int, int],
    platform: Platform,
) -> Callable[[Any, Any, list, list], list] | str:
    """Return the step of a tile as one list of operations, or why there is none.

    `dtypes` are those of the numbers of the leaf.

    It is a function of the row and column of the first element, the scalars and the
    blocks of the operands; it returns those of the results. All are in their order.
    """
    arrays = [*parts.operands.values(), *parts.results.values()]
    kinds = {jnp.dtype(like.dtype).name for like in arrays}
    if other := sorted(kinds - platform.dtypes):
        return f"a kernel for {platform.name} has no arrays of {other[0]}"

    def step(row: Any, column: Any, scalars: list, blocks: list) -> list:
        named = dict(zip(parts.operands, blocks, strict=True))
        results = parts.on_part(named, scalars, row, column)
        return [results[name] for name in parts.results]

    blocks = [
        jax.ShapeDtypeStruct((tile[0], tile[1] // like.each), like.dtype)
        for like in parts.operands.values()
    ]
    numbers = [jax.ShapeDtypeStruct((), dtype) for dtype in dtypes]
    scalars = jax.eval_shape(parts.keyed, numbers)
    place = jax.ShapeDtypeStruct((), jnp.int32)
    given = place, place, scalars, blocks
    traced = jax.make_jaxpr(step)(*given)
    given = jax.tree.leaves(given)
    flat = inlined(traced, platform.name, platform.instead)
    program = jax.make_jaxpr(flat)(*given)
    program = jax.make_jaxpr(inlined(program))(*given)  # the calls of `instead`
    if any(jnp.ndim(constant) for constant in opened(program)[1]):
        return f"a kernel for {platform.name} has no tables"
    for equation in opened(program)[0].eqns:
        if (name := equation.primitive.name) not in platform.operations:
            return f"a kernel for {platform.name} has no `{name}`"
    compute = jaxpr_as_fun(program)
    return lambda row, column, scalars, blocks: compute(row, column, *scalars, *blocks)


def in_place(parts: LeafParts) -> dict[int, int]:
    """Return which operands, behind the two of scalars, are which results.

    The slots and the parameter are. The gradient is not, as it may be used again.
    """
    kept = [n for n in parts.results if n != "update"]
    operands, results = list(parts.operands), list(parts.results)
    return {2 + operands.index(n): results.index(n) for n in kept}
