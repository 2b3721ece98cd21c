"""`sweep`: train at many hyperparameters and seeds in one compiled program."""

import operator
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import errors
from ..engine.paths import path_of
from . import factory as factories, grid as grids, program as programs, progress as bars
from .result import DIVERGED, SEED, Sweep

ALONE = "result"  # the name of what `train` returns, if it is one array


def _named(found: Any) -> dict[str, Any]:
    """Return the arrays that `train` returned, by their paths.

    Raises:
        ValueError: none.
        TypeError: a leaf that is no array of numbers.
    """
    named: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        name = path_of(path) or ALONE
        try:
            if isinstance(leaf, str):  # NumPy reads some as the name of a dtype
                raise TypeError
            array = jnp.asarray(leaf)
            fits = jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool
        except (TypeError, ValueError):
            array, fits = leaf, False
        if not fits:
            raise errors.type_error(
                "sweep",
                f"`train` must return arrays of numbers, but {name!r} is none",
                errors.shown(leaf),
                "Return a dict of arrays, such as losses.",
            )
        named[name] = array
    if not named:
        raise errors.AdamxError(
            "sweep: `train` must return at least one array, got none. Return for "
            'example {"loss": losses}.'
        )
    return named


def _lane(
    train: Callable, make: Callable, factors: Mapping[str, float]
) -> programs.Lane:
    def lane(point: dict[str, Any], seed: Any) -> dict[str, Any]:
        named = _named(train(make(**point), jax.random.key(seed)))
        taken = sorted(named.keys() & {*point, SEED, DIVERGED})
        if taken:
            raise errors.AdamxError(
                f"sweep: what `train` returns must have other names than the "
                f"hyperparameters, {SEED!r} and {DIVERGED!r}, got {taken[0]!r}. Rename "
                f"it."
            )
        for name in factors:
            if name not in named or named[name].ndim != 1 or _is_complex(named[name]):
                shown = f"shape {named[name].shape}" if name in named else "none"
                raise errors.AdamxError(
                    f"sweep: a name of `divergence` must be a curve of real numbers "
                    f"that `train` returns, got {name!r}, which has {shown}. It "
                    f"returns {errors.listed(named)}."
                )
        return named

    return lane


def _is_complex(array: Any) -> bool:
    return bool(jnp.issubdtype(array.dtype, jnp.complexfloating))


def _width(width: Any) -> int | None:
    if width is None:
        return programs.default_width()
    return _whole("width", "runs", width, "Leave it out for the default of the device.")


def _factors(divergence: Any) -> dict[str, float]:
    if divergence is None:
        return {}
    if not isinstance(divergence, Mapping):
        raise errors.type_error(
            "sweep",
            "`divergence` must be a dict of factors by the names of curves",
            errors.shown(divergence),
            'Write divergence={"loss": 2.0}.',
        )
    for name, factor in divergence.items():
        above = errors.Interval.parse("(1, inf)")
        errors.check_number("sweep", f"divergence[{name!r}]", factor, above)
    return {str(name): float(factor) for name, factor in divergence.items()}


def _budget(max_bytes: Any) -> int | None:
    if max_bytes is None:
        return programs.default_budget()
    if isinstance(max_bytes, float) and max_bytes.is_integer() and max_bytes > 0:
        max_bytes = int(max_bytes)  # 2e9
    remedy = "Write max_bytes=2 * 1024**3 for 2 GiB."
    return _whole("max_bytes", "bytes", max_bytes, remedy)


def _whole(name: str, what: str, given: Any, remedy: str) -> int:
    """Return a whole number of at least 1, or raise an error."""
    try:
        found = operator.index(given)
    except TypeError:
        found = 0
    if isinstance(given, bool) or found < 1:
        raise errors.AdamxError(
            f"sweep: `{name}` must be a whole number of {what}, at least 1, got "
            f"{errors.shown(given)}. {remedy}"
        )
    return found


def sweep(
    train: Callable[[Any, Any], Any],
    tx: Any,
    grid: Any,
    *,
    seeds: Any = 1,
    product: bool = True,
    width: Any = None,
    divergence: Mapping[str, float] | None = None,
    max_bytes: Any = None,
    progress: bool | None = None,
) -> Sweep:
    """Train at every point of a grid and with every seed, in one compiled program.

    The program trains `width` runs at once, by `vmap`, and is called until all are
    done. In the last call it is filled with repetitions of the last run, which are left
    out of the result. A run that diverges stays in the result, marked.

        def train(tx, key):
            params = init(key)
            ...
            return {"loss": losses}

        found = adamx.sweep(
            train, adamx.adamw, {"learning_rate": jnp.logspace(-4, -1, 16)}, seeds=3
        )
        found.best("loss")
        found.plot("loss")

    Args:
        train: a function of a transformation and a key of `jax.random` that returns an
            array, or a dict or other tree of arrays. It is traced, as by `jax.jit`.
        tx: a function of the hyperparameters that returns the optimizer, such as
            `adamx.adamw` or `lambda peak: adamx.adamw(cosine(peak))`; or a
            transformation of adamx in which they are replaced.
        grid: the values of each hyperparameter by name: real numbers in one dimension.
            A hyperparameter must be one that may be an array: rates, decays, eps.
        seeds: how many seeds, from 0 on, or the seeds. Seed s is `jax.random.key(s)`.
        product: whether all combinations of the values are trained; otherwise row i of
            all arrays is point i, as in a random search.
        width: how many runs are trained at once, at least 1; more than there are means
            all. None: 1 on a CPU, where small batched operations are slow, and all
            elsewhere.
        divergence: factors above 1 by the names of curves. A run also counts as
            diverged if such a curve ends above so many times its first value, as with
            {"loss": 2.0}. None: only if a number is NaN or infinite.
        max_bytes: the most that the program may need, as its compiler says
            (temporaries, results, arguments); fewer runs are trained at once if it asks
            for it. None: no limit on a CPU, three quarters of the free memory
            elsewhere. If it binds, up to seven programs are compiled to find the width;
            `Sweep.compilations` says how many were.
        progress: whether a bar is shown on stderr. None: if rich is installed and
            stderr is a terminal or a notebook.

    Returns:
        A `Sweep`: arrays by name, one row for each run, the seeds of a point after each
        other.

    Raises:
        ValueError: a name that `tx` does not take, a value out of its range, values
            that are empty or not in one dimension, a hyperparameter that cannot be
            traced, a name of `divergence` that is no curve, a budget that does not
            allow one run.
        TypeError: an argument of the wrong type, or `train` returns other than arrays.
        ImportError: `progress=True` without rich.
    """
    if not callable(train):
        raise errors.type_error(
            "sweep",
            "`train` must be a function of a transformation and a key",
            errors.shown(train),
            "Write def train(tx, key): ... that returns a dict of arrays.",
        )
    bars.check(progress)
    points = grids.columns(grids.axes(grid), product)
    numbers = grids.seed_numbers(seeds)
    budget = _budget(max_bytes)
    at_once = _width(width)
    factors = _factors(divergence)
    names = tuple(points)
    make = factories.factory("sweep", tx, names)
    listed = factories.as_points(points)
    factories.check_traceable("sweep", make, listed[0])
    factories.check_values(make, listed)

    rows = {name: np.repeat(values, len(numbers)) for name, values in points.items()}
    seed = np.tile(numbers, len(listed))
    runs = len(seed)
    lane = _lane(train, make, factors)
    parts: list[dict[str, np.ndarray]] = []
    with bars.bar(runs, progress) as advance:
        advance(0, "compiling")
        program = programs.fitting(lane, names, min(at_once or runs, runs), budget)
        since = time.perf_counter()
        advance(0, "training")
        for start in range(0, runs, program.width):
            at = np.minimum(np.arange(start, start + program.width), runs - 1)
            point = {name: _data(values[at]) for name, values in rows.items()}
            found = program.call(point, jnp.asarray(seed[at], np.uint32))
            keep = min(program.width, runs - start)
            parts.append({name: np.asarray(x)[:keep] for name, x in found.items()})
            advance(start + keep, "training")
        seconds = time.perf_counter() - since
    outcomes = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    return Sweep(
        rows,
        seed,
        outcomes,
        product=product,
        divergence=factors,
        width=program.width,
        bytes=program.bytes,
        max_bytes=budget,
        compile_seconds=program.compile_seconds,
        compilations=program.compilations,
        run_seconds=seconds,
    )


def _data(values: np.ndarray) -> Any:
    return jnp.asarray(values, jnp.result_type(float))
