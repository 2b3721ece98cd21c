"""Checks for a codec of your own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import errors
from ..engine.slots import of_state
from ..numerics.random_bits import Uniform, key_of
from ..storage.codec import Codec

_SHAPES = ((), (512, 10), (2, 33, 129))


def check_storage(codec: Any, *, signed: bool = False, tolerance: float = 0.1) -> None:
    """Raise an error if a codec does not meet what `adamx.store` requires.

    It is checked for several shapes, and for arrays of zeros, of numbers over many
    decades and of one number repeated: `encode` returns the arrays that `parts` names,
    with shapes and dtypes that do not depend on the numbers; `decode` returns the shape
    that was encoded, in a floating dtype; zeros are decoded to zeros; decoded numbers
    are encoded and decoded to the same numbers again; a NaN stays visible; both run
    under `jit` and `vmap`; the largest number is decoded within `tolerance`; the codec
    prints, compares and hashes as a value.

    Args:
        codec: the codec.
        signed: whether the slot may be negative.
        tolerance: the allowed relative error of the largest number.

    Raises:
        ValueError: the message says what does not hold, and for which shape.
    """
    if not isinstance(codec, Codec):
        raise errors.type_error(
            "check_storage",
            "`codec` must be a storage.Codec",
            repr(codec),
            "Inherit from it and write encode and decode.",
        )
    codec = codec.bind("slot", signed)

    _must(
        hash(codec) == hash(codec.bind("slot", signed)), codec, "be a value", "another"
    )
    for shape in _SHAPES:
        _check_shape(codec, shape, signed, tolerance)


def kept_slot(tx: Any, state: Any, name: str, params: Any) -> Any:
    """Return one slot of a state as a rule is given it, decoded if a codec keeps it.

    Args:
        tx: a rule or a chain.
        state: its `State`.
        name: the slot, of the shape of the parameters.
        params: the parameters.
    """
    return of_state(tx.slots()[name], state.slots[name], params)


def _must(holds: Any, codec: Codec, what: str, got: Any) -> None:
    if not holds:
        raise errors.AdamxError(f"check_storage: {codec!r} must {what}, got {got}.")


def _numbers(shape: tuple[int, ...], signed: bool) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = np.exp(3 * rng.standard_normal(shape)).astype(np.float32)
    sign = rng.choice([-1.0, 1.0], shape).astype(np.float32) if signed else 1.0
    return np.asarray(x * sign, np.float32)


def _apart(a: Any, b: Any) -> float:
    """Return the largest difference of two arrays."""
    with np.errstate(invalid="ignore"):
        return float(np.max(np.abs(np.float64(a) - np.float64(b))))


def _check_shape(codec: Any, shape: Any, signed: bool, tolerance: float) -> None:
    at = f"for the shape {shape}"
    encode = jax.jit(lambda x, k: codec.encode(x, Uniform(key_of(k))))
    decode = jax.jit(lambda kept: codec.decode(kept, shape))
    x, zeros = _numbers(shape, signed), np.zeros(shape, np.float32)
    kept, none = encode(x, 1), encode(zeros, 1)
    _must(
        isinstance(kept, dict) and tuple(kept) == tuple(codec.parts),
        codec,
        f"return {codec.parts} from encode {at}",
        list(kept) if isinstance(kept, dict) else type(kept).__name__,
    )
    form = jax.tree.map(lambda a: (a.shape, str(a.dtype)), kept)
    other = jax.tree.map(lambda a: (a.shape, str(a.dtype)), none)
    _must(form == other, codec, f"return one form from encode {at}", (form, other))
    back = decode(kept)
    _must(
        back.shape == shape and jnp.issubdtype(back.dtype, jnp.floating),
        codec,
        f"decode to the shape and a floating dtype {at}",
        (back.shape, str(back.dtype)),
    )
    nothing = np.asarray(decode(none))
    _must(not np.any(nothing), codec, f"give back zeros {at}", float(nothing.max()))
    again = decode(encode(back, 2))
    _must(
        np.allclose(again, back, rtol=1e-5, atol=0),
        codec,
        f"encode what it decoded to the same numbers {at}",
        f"a difference of {_apart(again, back)}",
    )
    even = np.full(shape, 0.7, np.float32)
    off = _apart(decode(encode(even, 3)), even) / 0.7
    _must(off <= tolerance, codec, f"keep equal numbers {at}", f"{off:.3g} off")
    holed = x.copy()
    holed[(0,) * len(shape)] = np.nan
    _must(
        np.isnan(decode(encode(holed, 4))).any(),
        codec,
        f"let a NaN be seen {at}",
        "finite numbers",
    )
    mapped = jax.jit(
        jax.vmap(lambda a: codec.decode(codec.encode(a, Uniform(key_of(1))), shape))
    )
    _must(
        np.allclose(mapped(np.stack([x, 2 * x]))[0], back, rtol=1e-5),
        codec,
        f"do under vmap what it does alone {at}",
        "other numbers",
    )
