"""Arithmetic that is inaccurate in float32 if written as in the papers.

The functions take and return arrays. The errors in the docstrings are bounds that
`tests/numerics/test_arithmetic.py` checks against 50-digit arithmetic.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

# (x / 2 coth(x / 2) - 1) / x = sum of B_2k x**(2k - 1) / (2k)!; 1e-17 for x < 1
_COTH_SERIES = (
    1 / 12,
    -1 / 720,
    1 / 30240,
    -1 / 1209600,
    1 / 47900160,
    -691 / 1307674368000,
    1 / 74724249600,
    -3617 / 10670622842880000,
    43867 / 5109094217170944000,
)


def compute_dtype(*dtypes: Any) -> Any:
    """Return the dtype of the arithmetic: float32, or float64 if a leaf has it."""
    wide = any(jnp.dtype(d) == jnp.float64 for d in dtypes)
    return jnp.dtype(jnp.float64 if wide else jnp.float32)


@jax.custom_jvp
def within_range(x: Array) -> Array:
    """Clip finite numbers to ±2⁴⁸ (float32) or ±2³⁸⁴ (float64); inf and NaN remain.

    The sum of 2³² squares of such numbers is finite, so that no finite gradient leads
    to an infinite moment or norm.

    In float32 each operation has one array: XLA computes the clipped gradient again in
    every loop that reads it, instead of writing it to memory once, as it does with a
    selection of two arrays. The bits of the numbers are read as integers, which are in
    the order of the numbers from 0 up. `up` moves inf and NaN below all others by
    overflow, so that the minimum leaves them; the sign is turned for those below 0.
    """
    if x.dtype != jnp.float32:
        return _within_range(x)
    up, most = np.int32(2**31 - _bits(np.inf)), np.int32(_bits(_bound(x.dtype)))
    bits = lax.bitcast_convert_type(x, jnp.int32)
    bits = lax.min(bits + up, most + up) + np.int32(-(2**31))
    bits = lax.min(bits, most + up) + np.int32(_bits(np.inf))
    return lax.bitcast_convert_type(bits, x.dtype)


def _within_range(x: Array) -> Array:
    bound = _bound(x.dtype)
    return jnp.where(jnp.abs(x) < jnp.inf, jnp.clip(x, -bound, bound), x)


@within_range.defjvp
def _within_range_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    return jax.jvp(_within_range, primals, tangents)


def _bound(dtype: Any) -> float:
    return 2.0 ** (jnp.finfo(dtype).maxexp * 3 // 8)


def _bits(x: float) -> int:
    return int(np.float32(x).view(np.int32))


def lerp(old: Array, new: Array, weight_of_old: Any) -> Array:
    """Compute `β old + (1 - β) new` as `old + (1 - β)(new - old)`.

    For a number β, `1 - β` is computed in float64. A constant input is then a fixed
    point, from which `β old + (1 - β) new` in float32 drifts by up to 6e-8 / (1 - β).
    """
    if isinstance(weight_of_old, float) and weight_of_old == 0.0:
        return new  # old + (new - old) is not new in floating point
    return old + (1 - weight_of_old) * (new - old)


def negative_log(base: Any) -> Any:
    """Compute `-log β`: in float64 for a number, by the exact `1 - β` for an array."""
    if isinstance(base, float):
        return -math.log(base) if base else math.inf
    return -jnp.log1p(-(1 - base))


def one_minus_power(base: Any, exponent: Array) -> Array:
    """Compute `1 - β**t` without cancellation, as `-expm1(t log β)`.

    For a number β the relative error in float32 is at most 5e-7 for every β in
    [0, 1 - 1e-6] and t up to 1e7; `1 - β**t` is off by 1.3e-2 at β = .999999.
    """
    return -jnp.expm1(-exponent * negative_log(base))


def gathered_weight(decay: Any, before: Any, count: Array) -> Array:
    """Compute `1 - β_1 β_2 … β_t`, the sum of the weights in an average from zero.

    It is computed from the count for a number β, else from the weight `before` this
    step.
    """
    if isinstance(decay, float):
        return one_minus_power(decay, count)
    return lerp(before, jnp.ones_like(count), decay)


@jax.custom_jvp
def safe_sqrt(x: Array) -> Array:
    """Compute `sqrt(x)` with derivative 0 at 0, where the true one is infinite."""
    return jnp.sqrt(x)


@safe_sqrt.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    (x,), (dx,) = primals, tangents
    root = safe_sqrt(x)
    none = x == 0
    return root, jnp.where(none, 0, dx / jnp.where(none, 1, 2 * root))


@jax.custom_jvp
def safe_divide(x: Array, y: Array) -> Array:
    """Divide with 0 / 0 = 0 (and derivative 0 there); x / 0 stays infinite.

    An x whose square is below the range of its dtype counts as 0 there: y is the root
    of such squares.
    """
    none = _is_none_by_none(x, y)
    return jnp.where(none, 0, x / jnp.where(none, 1, y))


def _is_none_by_none(x: Array, y: Array) -> Array:
    least = 2.0 ** (jnp.finfo(x.dtype).minexp // 2)
    return (jnp.abs(x) < least) & (y == 0)


@safe_divide.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    (x, y), (dx, dy) = primals, tangents
    none = _is_none_by_none(x, y)
    ratio = safe_divide(x, y)
    return ratio, jnp.where(none, 0, (dx - ratio * dy) / jnp.where(none, 1, y))


@jax.custom_jvp
def arctan2(y: Array, x: Array) -> Array:
    """Compute `atan2(y, x)` for x ≥ 0; at (0, 0) it and its derivatives are 0.

    In float32 it is the polynomial of Cephes' `atanf`, to 3e-7 of the angle, which
    compiles to one loop; XLA's own is a call for each element on CPU. In float64 it is
    XLA's.
    """
    if jnp.result_type(y, x) != jnp.float32:
        return jnp.arctan2(y, x)
    size = jnp.abs(y)
    t = jnp.minimum(size, x) / _larger(y, x)
    outer = t > math.tan(math.pi / 8)
    z = jnp.where(outer, (t - 1) / (t + 1), t)
    z2 = z * z
    p = (8.05374449538e-2 * z2 - 1.38776856032e-1) * z2 + 1.99777106478e-1
    angle = (p * z2 - 3.33329491539e-1) * z2 * z + z
    angle = jnp.where(outer, math.pi / 4 + angle, angle)
    return jnp.copysign(jnp.where(size > x, math.pi / 2 - angle, angle), y)


def _larger(y: Array, x: Array) -> Array:
    """Return the larger of |y| and x, or 1 where both are 0."""
    larger = jnp.maximum(jnp.abs(y), x)
    return jnp.where(larger == 0, 1, larger)


@arctan2.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    (y, x), (dy, dx) = primals, tangents
    larger = _larger(y, x)  # its square may be outside the range of float32
    none = (x == 0) & (y == 0)
    turned = (x / larger) * dy - (y / larger) * dx
    length = jnp.where(none, 1, x * (x / larger) + y * (y / larger))
    return arctan2(y, x), jnp.where(none, 0, turned / length)


def rho(base: Any, t: Array) -> tuple[Array, Any]:
    """Compute RAdam's ρ_t and ρ_∞: the length of the equivalent simple average.

        ρ_∞ = 2 / (1 - β) - 1,    ρ_t = ρ_∞ - 2 t β**t / (1 - β**t)

    As written, ρ_t cancels as β → 1 (670 % off at β = .99999, t = 10 in float32). With
    x = -log β and y = t x it is also

        ρ_t = t - (2 / x) (E(y) - E(x)),    E(y) = (y / 2) coth(y / 2) - 1

    whose series in y has no cancellation; it is used for y < 1, the paper's for y ≥ 1.
    """
    x = negative_log(base)
    rho_inf = 2 / (1 - base) - 1
    if isinstance(x, float) and x == math.inf:
        return jnp.ones_like(t), 1.0
    y = t * x
    near = jnp.minimum(y, 1)  # keeps the branch that is not taken finite
    e_x = _coth_over(x) if not isinstance(x, float) or x < 1 else _coth_exact(x)
    series = t * (1 - 2 * _coth_over(near)) + 2 * e_x
    direct = rho_inf - 2 * t / jnp.expm1(jnp.maximum(y, 1))
    return jnp.where(y < 1, series, direct), rho_inf


def _coth_over(y: Any) -> Any:
    """Compute `E(y) / y` by its series."""
    total = 0.0
    for coefficient in reversed(_COTH_SERIES):
        total = total * y * y + coefficient
    return total * y


def _coth_exact(x: float) -> float:
    return 0.5 / math.tanh(x / 2) - 1 / x


def rectifier(rho_t: Array, rho_inf: Any, threshold: Any = 4.0) -> Array:
    """Compute RAdam's r_t (Liu et al., Algorithm 2), 0 where it is undefined, ρ_t ≤ 4.

    r_t = sqrt(((ρ_t - 4)(ρ_t - 2) ρ_∞) / ((ρ_∞ - 4)(ρ_∞ - 2) ρ_t))
    """
    if isinstance(rho_inf, float) and rho_inf <= 4:
        return jnp.zeros_like(rho_t)
    defined = rho_t > threshold
    rho_t = jnp.where(defined, rho_t, 5)  # keeps the branch that is not taken finite
    rho_inf = jnp.where(defined, rho_inf, 9)
    over = (rho_t - 4) / (rho_inf - 4) * ((rho_t - 2) / (rho_inf - 2))
    # the root last: XLA repeats cheap arithmetic in every leaf, but no root
    return safe_sqrt(jnp.where(defined, over * (rho_inf / rho_t), 0))
