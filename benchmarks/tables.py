"""The generated tables of the README: `python -m benchmarks tables [--check]`.

Written into README.md between `<!-- table: NAME -->` and `<!-- end -->`; with `--check`
compared with what stands there. CI does so on the lowest versions of pyproject.toml, so
that the tables change with the repository only.
"""

import argparse
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamx
from adamx.spelling import _SPELLED
from benchmarks.peers import picture

README = Path(__file__).resolve().parent.parent / "README.md"
MEMBERS = [name for name in adamx.__all__ if f"scale_by_{name}" in adamx.__all__]
TWINS = [name for name in MEMBERS if hasattr(optax, name)]
RATE = 1e-3
SHAPE = (100, 100)
STEPS = 1000
ROUNDING = {jnp.float32: 1e-6, jnp.float64: 1e-12, jnp.bfloat16: 2e-2}
"""Below this a difference is called rounding."""

# The call that follows Optax's `NAME(RATE)`.
SAME_VALUES = {
    "adagrad": "adagrad(1e-3, RootEps(1e-7), initial_accumulator=0.1)",
    "rmsprop": "rmsprop(1e-3, eps=RootEps(1e-8))",
    "adafactor": "adafactor(1e-3, 128)",
    "sm3": "sm3(1e-3, eps=1e-8)",
    "adamw": "adamw(1e-3, weight_decay=1e-4)",
}


def table(head: str, rows: Iterator[tuple[str, ...]]) -> str:
    titles = head.split(" | ")
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def members() -> Iterator[tuple[str, ...]]:
    """Each member with its parts, its state, and where it was published."""
    params = jnp.zeros(SHAPE, jnp.float32)
    for name in MEMBERS:
        tx = getattr(adamx, name)(RATE)
        slots = tx.init(params).slots
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(slots)) / params.size
        doc = inspect.getdoc(getattr(adamx, name))
        reference = re.search(r"^Reference: (.*?)(\n\n|\Z)", doc, re.M | re.S)[1]
        yield (
            f"`{name}`",
            f"`{tx!r}`",
            ", ".join(f"`{slot}`" for slot in slots) or "none",
            f"{size:g}",
            " ".join(reference.split()).rstrip("."),
        )


def signatures() -> Iterator[tuple[str, ...]]:
    """Every keyword that one of the two lacks, or has elsewhere or otherwise."""
    for name in TWINS:
        ours = inspect.signature(getattr(adamx, name)).parameters
        theirs = inspect.signature(getattr(optax, name)).parameters
        for keyword in dict.fromkeys([*ours, *theirs]):
            cells = described(ours, keyword), described(theirs, keyword)
            if cells[0] != cells[1]:
                instead = "" if keyword in ours else _SPELLED.get(keyword, "")
                yield f"`{name}`", f"`{keyword}`", *cells, instead


def described(parameters: Any, keyword: str) -> str:
    """A parameter's default and place."""
    if keyword not in parameters:
        return "–"
    parameter = parameters[keyword]
    default = parameter.default
    if default is inspect.Parameter.empty:
        default = "required"
    else:
        default = f"`{getattr(default, '__name__', repr(default))}`"
    if parameter.kind is parameter.KEYWORD_ONLY:
        return f"{default}, by keyword"
    return f"{default}, place {list(parameters).index(keyword) + 1}"


def values() -> Iterator[tuple[str, ...]]:
    """How far the same call goes apart, and the call that does not."""
    for name in TWINS:
        twin = getattr(optax, name)(RATE)
        call = SAME_VALUES.get(name, f"{name}(1e-3)")
        same = eval(call, vars(adamx))
        yield (
            f"`{name}(1e-3)`",
            apart(getattr(adamx, name)(RATE), twin, jnp.float32),
            f"`{call}`",
            *(apart(same, twin, dtype) for dtype in ROUNDING),
        )


def apart(tx: Any, twin: Any, dtype: Any) -> str:
    """The largest difference between two updates, relative to the element's largest.

    The gradients are normal, of scales from 1e-3 to 10, and ten times smaller in the
    second half.
    """
    random = np.random.default_rng(0)
    theta = random.normal(size=(10, 10))
    scales = 10 ** random.uniform(-3, 1, size=(10, 10))
    gradients = random.normal(size=(STEPS, 10, 10)) * scales
    gradients[STEPS // 2 :] /= 10

    @functools.partial(jax.jit, static_argnums=0)
    def updates(tx: Any, theta: Any, gradients: Any) -> Any:
        def step(state: Any, g: Any) -> tuple[Any, Any]:
            u, state = tx.update(g, state, theta)
            return state, u

        return jax.lax.scan(step, tx.init(theta), gradients)[1]

    with jax.enable_x64(dtype == jnp.float64):
        given = jnp.asarray(theta, dtype), jnp.asarray(gradients, dtype)
        ours, theirs = (np.float64(updates(one, *given)) for one in (tx, twin))
    difference = np.max(np.abs(ours - theirs) / np.max(np.abs(theirs), axis=0))
    return "rounding" if difference < ROUNDING[dtype] else f"{difference:.0e}"


def differences() -> str:
    keywords = table("optimizer | keyword | adamx | Optax | instead", signatures())
    drift = table(
        "the same call | apart | Optax's form | float32 | float64 | bfloat16", values()
    )
    return f"{keywords}\n\n{drift}"


TABLES: dict[str, Callable[[], str]] = {
    "members": lambda: table(
        "optimizer | made of | state | bytes per parameter | reference", members()
    ),
    "differences": differences,
    "peers": picture.markdown,
}


def written(readme: str) -> str:
    """The README with its tables made anew."""
    for name, make in TABLES.items():
        mark = re.escape(f"<!-- table: {name} -->")
        replaced, found = re.subn(
            rf"({mark}\n).*?(<!-- end -->)",
            lambda m, make=make: f"{m[1]}{make()}\n{m[2]}",
            readme,
            flags=re.DOTALL,
        )
        if not found:
            raise SystemExit(f"tables: README.md must have the mark of table {name!r}.")
        readme = replaced
    return readme


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    old = README.read_text()
    new = written(old)
    if not check:
        README.write_text(new)
    elif new != old:
        here = set(old.splitlines())
        print("tables: README.md is not what `python -m benchmarks tables` writes:")
        print(*(line for line in new.splitlines() if line not in here), sep="\n")
        return 1
    return 0
