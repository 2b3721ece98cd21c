"""Iterations that orthogonalise a matrix: approximations of U Vᵀ of X = U S Vᵀ.

An iteration is a value: a table of coefficients (a, b, c), one row for each step of

    X ← a X + (b A + c A²) X,    A = X Xᵀ

which maps every singular value s to a s + b s³ + c s⁵ and keeps the singular vectors.
It starts at X divided by a bound of its largest singular value. Tables differ in where
they take small singular values, and in how near to 1 the large ones end.

`python -m benchmarks matrices --part errors` measures the errors in float32, TF32 and
bfloat16; the bounds in the docstrings are for float64, where s is the singular value
after the first division, in (0, 1].
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from .. import errors
from ..engine import options
from ..engine.hyperparams import check_fields
from ..engine.options import option
from ..engine.value import Value, show
from ..numerics import matrices
from ..numerics.matrices import QUINTIC

_USUAL = "5 is usual."

STARTS = {
    "frobenius": matrices.by_frobenius,
    "spectral": matrices.by_spectral,
    "schatten": matrices.by_schatten,
    "aol": matrices.by_rows,
}


class Iteration(Value):
    """Base class of iterations: `orthogonalize(stack, eps, precision)`."""

    def orthogonalize(
        self, x: Float[Array, "k m n"], eps: Any, precision: Any
    ) -> Float[Array, "k m n"]:
        """Return about U Vᵀ of each matrix of a stack with m ≤ n."""
        raise NotImplementedError


class NewtonSchulz(Iteration):
    """Iterate `X ← a X + (b A + c A²) X`, `A = X Xᵀ`, with a row (a, b, c) a step.

    Args:
        coefficients: the rows, one for each step; of `optax.contrib.muon`'s shape
            (n, 3).
        start: what X is divided by first: "frobenius" ‖X‖_F + ε; "spectral" ‖X‖₂ + ε,
            by a singular value decomposition; "schatten" ‖X Xᵀ‖_F^½, at least ε^½;
            "aol", each row by the root of its sum of |X Xᵀ|, at least ε (almost
            orthogonal layer), which changes the singular vectors.
        safety: c ≥ 1: the quotient is divided by c too, against rounding.
        name: the expression that builds it, shown in place of the table.

    Raises:
        ValueError: no row, a row that has not three numbers, an unknown `start`.

    Reference: Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
    2024, kellerjordan.github.io/posts/muon; "schatten": Grishina, Smirnov & Rakhuba,
    2025, arXiv:2506.10935; "aol": Boissin et al., "Turbo-Muon: accelerating
    orthogonality-based optimization with pre-conditioning", 2025, arXiv:2512.04632.
    """

    coefficients: Any = (QUINTIC,) * 5
    start: str = "frobenius"
    safety: float = option(1.0, least=1)
    name: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "coefficients", as_table(self.coefficients))
        if self.start not in STARTS:
            raise errors.AdamxError(
                f"{type(self).__name__}: `start` must be one of "
                f"{', '.join(STARTS)}, got {self.start!r}. 'frobenius' is usual."
            )

    def __repr__(self) -> str:
        return self.name or super().__repr__()

    def orthogonalize(
        self, x: Float[Array, "k m n"], eps: Any, precision: Any
    ) -> Float[Array, "k m n"]:
        x = STARTS[self.start](x, eps, precision, self.safety)
        return self._iterated(x, precision)

    def _iterated(self, x: Array, precision: Any) -> Array:
        return matrices.newton_schulz(x, self.coefficients, precision)


class GramNewtonSchulz(NewtonSchulz):
    """Run an iteration on the m × m matrix X Xᵀ only: fewer products for wide matrices.

        P = a I + b R + c R²,    Q ← P Q,    R ← P R P    (from R = X Xᵀ, Q = I)
        X ← Q X at the end, and at each restart, which begins again with R = X Xᵀ

    In exact arithmetic it is `NewtonSchulz`. A step takes 4 products of m × m; only two
    for each restart, and two more, have the side n. For matrices with n < 2 m use the
    iteration itself. R carries squares of singular values, so what is rounded in it is
    lost for s below the root of the rounding error: restart after the first steps.

    Args:
        coefficients, start, safety, name: as in `NewtonSchulz`.
        restarts: the steps, counted from 0, before which it restarts.

    Reference: "Gram Newton-Schulz", Dao AI Lab, 2026,
    github.com/Dao-AILab/gram-newton-schulz, whose restart is that before step 2.
    """

    restarts: tuple[int, ...] = option((2,), least=1)

    def _iterated(self, x: Array, precision: Any) -> Array:
        table = self.coefficients
        return matrices.gram_newton_schulz(x, table, self.restarts, precision)


class ExactPolar(Iteration):
    """Compute U Vᵀ exactly, by a singular value decomposition; for tests and small X.

    Singular values of at most ε, or of the rounding error of the largest, become 0.

    Reference: Higham, "Functions of matrices", SIAM 2008, chapter 8.
    """

    def orthogonalize(
        self, x: Float[Array, "k m n"], eps: Any, precision: Any
    ) -> Float[Array, "k m n"]:
        return matrices.polar(x, eps, precision)


def as_table(given: Any) -> tuple[tuple[float, float, float], ...]:
    """Return a table of coefficients as tuples of three floats, or raise an error."""
    try:
        table: Any = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        table = np.zeros(0)
    if table.ndim != 2 or table.shape[1] != 3 or not len(table):
        raise errors.AdamxError(
            f"NewtonSchulz: `coefficients` must be rows (a, b, c), one for each step, "
            f"got {errors.shown(given)}. Pass for example ((3.4445, -4.775, 2.0315),) "
            f"* 5."
        )
    if not np.isfinite(table).all():
        raise errors.AdamxError(
            f"NewtonSchulz: `coefficients` must be finite numbers, got "
            f"{errors.shown(given)}. Pass a table of floats."
        )
    return tuple((a, b, c) for a, b, c in table.tolist())


def _named(maker: Callable[..., Any], table: Any, *given: Any, **more: Any) -> Any:
    name = f"{maker.__name__}({', '.join(map(show, given))})"
    return NewtonSchulz(table, name=name, **more)


def _steps(where: str, steps: Any, most: int | None = None) -> int:
    ok = isinstance(steps, int | np.integer) and not isinstance(steps, bool)
    if not ok or steps < 1 or (most is not None and steps > most):
        limit = "" if most is None else f", at most {most}"
        raise errors.AdamxError(
            f"{where}: `steps` must be a whole number, at least 1{limit}, got "
            f"{errors.shown(steps)}. 5 is usual."
        )
    return int(steps)


def muon_quintic(steps: int = 5) -> NewtonSchulz:
    """Muon's tuned quintic, (3.4445, -4.7750, 2.0315) in every step.

    It does not converge: singular values end between 0.68 and 1.21. With 5 steps that
    holds for s ≥ 0.0015; smaller ones grow by up to 485.

    Reference: Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
    2024, kellerjordan.github.io/posts/muon.
    """
    steps = _steps("muon_quintic", steps)
    return _named(muon_quintic, (QUINTIC,) * steps, steps)


def classic_quintic(steps: int = 10) -> NewtonSchulz:
    """The classic quintic, (15/8, -10/8, 3/8) in every step.

    It converges to 1 from every s in (0, 1], cubically near 1, but small singular
    values grow by only 15/8 a step: with 10 steps |s - 1| ≤ 0.001 for s ≥ 0.01.

    Reference: Higham, "Functions of matrices", SIAM 2008, section 8.6, the [2/0] Padé
    iteration.
    """
    steps = _steps("classic_quintic", steps)
    return _named(classic_quintic, ((15 / 8, -10 / 8, 3 / 8),) * steps, steps)


def deepseek_v4(fast: int = 8, last: int = 2) -> NewtonSchulz:
    """DeepSeek-V4's hybrid: Muon's quintic 8 times, then (2, -1.5, 0.5) twice.

    The last steps bring what the fast ones left between 0.68 and 1.21 to 1:
    |s - 1| ≤ 0.002 for s ≥ 0.0001.

    Reference: DeepSeek-AI, "DeepSeek-V4", 2026, section 2.4, eq. 28.
    """
    fast, last = _steps("deepseek_v4", fast), _steps("deepseek_v4", last)
    return _named(deepseek_v4, (QUINTIC,) * fast + ((2, -1.5, 0.5),) * last, fast, last)


# Algorithm 1 of the paper: the best polynomials of degree 5 for [0.001, 1]
_POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
)


def polar_express(steps: int = 5) -> NewtonSchulz:
    """Polar Express: in each step the best polynomial for what the last one left.

    The published table is for s in [0.001, 1]. Every row but the last one of eight is
    that of (x / 1.01), and the first division has the factor 1.01 too, against
    rounding: with 5 steps |s - 1| ≤ 0.2, with 8 |s - 1| ≤ 0.00001, for s ≥ 0.001.

    Departs from the paper: ε is added after the factor, and is the optimizer's.

    Reference: Amsel, Persson, Musco & Gower, "The Polar Express: optimal matrix sign
    methods and their application to the Muon algorithm", 2025, Algorithm 1,
    arXiv:2505.16932.
    """
    steps = _steps("polar_express", steps)
    safe = [(a / 1.01, b / 1.01**3, c / 1.01**5) for a, b, c in _POLAR_EXPRESS[:-1]]
    rows = [*safe, *[_POLAR_EXPRESS[-1]] * max(1, steps - len(safe))]
    return _named(polar_express, rows[:steps], steps, safety=1.01)


def cans(steps: int = 8, lower: float = 1e-3) -> NewtonSchulz:
    """CANS: the best cubic of each step for [lower, 1], by its closed form.

        e² = (l² + l r + r²) / 3,    k = 2 / (2 e³ + l r (l + r))
        p(s) = k (3 e² s - s³),    then l, r ← 2 - 2 k e³, 2 k e³

    p is the odd cubic with the least maximum of |p - 1| on [l, r]. Each step takes two
    products. With 8 steps |s - 1| ≤ 0.14 for s ≥ 0.001.

    Departs from the paper: l is given, not estimated; degree 3 only.

    Args:
        steps: the number of steps.
        lower: l in (0, 1], the least singular value to be brought to 1.

    Reference: Grishina, Smirnov & Rakhuba, "Accelerating Newton-Schulz iteration for
    orthogonalization via Chebyshev-type polynomials", 2025, Proposition 2,
    arXiv:2506.10935.
    """
    steps = _steps("cans", steps)
    if not (isinstance(lower, float | int) and 0 < lower <= 1):
        raise errors.AdamxError(
            f"cans: `lower` must be in (0, 1], got {errors.shown(lower)}. It is the "
            f"least singular value, of the largest, that is brought to 1."
        )
    left, right, rows = float(lower), 1.0, []
    for _ in range(steps):
        e = ((left**2 + left * right + right**2) / 3) ** 0.5
        k = 2 / (2 * e**3 + left * right * (left + right))
        rows.append((3 * k * e * e, -k, 0.0))
        right = 2 * k * e**3
        left = 2 - right
    return _named(cans, rows, steps, float(lower))


def gram_newton_schulz(
    iteration: Any, restarts: Sequence[int] = (2,)
) -> GramNewtonSchulz:
    """Return the iteration on X Xᵀ, for wide matrices: `GramNewtonSchulz` of its table.

    The error is that of `iteration`, and in float32 at most 1e-3 more for s ≥ 0.001.

    Args:
        iteration: the iteration whose table, start and safety it has.
        restarts: the steps, counted from 0, before which it restarts.

    Raises:
        TypeError: `iteration` is no `NewtonSchulz`.

    Reference: "Gram Newton-Schulz", Dao AI Lab, 2026,
    github.com/Dao-AILab/gram-newton-schulz.
    """
    if not isinstance(iteration, NewtonSchulz):
        raise errors.type_error(
            "gram_newton_schulz",
            "`iteration` must be a NewtonSchulz",
            errors.shown(iteration),
            "Pass for example polar_express(5).",
        )
    restarts = tuple(restarts)
    more = "" if restarts == (2,) else f", {show(restarts)}"
    return GramNewtonSchulz(
        iteration.coefficients,
        iteration.start,
        safety=iteration.safety,
        name=f"gram_newton_schulz({iteration!r}{more})",
        restarts=restarts,
    )


def as_iteration(
    where: str,
    coefficients: Any,
    steps: Any,
    iteration: Any = None,
    start: str = "frobenius",
) -> Any:
    """Return the iteration that an optimizer is given in one of its three ways.

    `coefficients` are three numbers for all steps, or rows, as for Optax: then at most
    `steps`. `start` is Optax's `preconditioning`.
    """
    steps = options.whole(where, "ns_steps", steps, options.Range(1, advice=_USUAL))
    if iteration is not None:
        if coefficients != QUINTIC or steps != 5 or start != "frobenius":
            raise errors.AdamxError(
                f"{where}: `iteration` must come without `coefficients`, `ns_steps` "
                f"and `preconditioning`, got {iteration!r} beside them. It has its own."
            )
        return iteration
    if any(isinstance(row, tuple | list) or np.ndim(row) for row in coefficients):
        table = as_table(coefficients)
        if len(table) > steps:
            raise errors.AdamxError(
                f"{where}: `coefficients` must have at most `ns_steps` rows, got "
                f"{len(table)} and ns_steps={steps}. Pass ns_steps={len(table)}."
            )
        return NewtonSchulz(table, start)
    three = options.Range(size=3, advice="They are (a, b, c) of the quintic.")
    kind = tuple[float, float, float]
    row = options.numbers(where, "coefficients", kind, coefficients, three)
    if row == QUINTIC and start == "frobenius":
        return muon_quintic(steps)
    return NewtonSchulz((row,) * steps, start)
