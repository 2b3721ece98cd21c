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

README = Path(__file__).resolve().parent.parent / "README.md"
MEMBERS = [name for name in adamx.__all__ if f"scale_by_{name}" in adamx.__all__]
RATE = 1e-3
STEPS = 1000

# What replaces a keyword that only Optax has. A keyword that is missing here, or that
# Optax no longer has, is an error.
INSTEAD = {
    "accumulator_dtype": "the momentum is float32",
    "bias_correction": "`Debiased` around the moment",
    "eps_in_sqrt": "`eps=RootEps(eps)` is `True`",
    "eps_root": "`eps=RootEps(eps_root, eps)`",
    "initial_accumulator_value": "`initial_accumulator`",
    "initial_scale": "the average starts at 0",
    "mu_dtype": "the moments are float32",
}
NESTEROV = "not offered: a member of its own (NAdam) is to come"

# The call that follows Optax's `NAME(RATE)`.
SAME_VALUES = {
    "adagrad": "adagrad(1e-3, RootEps(1e-7), initial_accumulator=0.1)",
    "rmsprop": "rmsprop(1e-3, eps=RootEps(1e-8))",
    "adamw": "adamw(1e-3, weight_decay=1e-4)",
}


def table(head: str, rows: Iterator[tuple[str, ...]]) -> str:
    titles = head.split(" | ")
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def members() -> Iterator[tuple[str, ...]]:
    """Each member with its parts, its state, and where it was published."""
    params = {"w": jnp.zeros((1000,), jnp.float32)}
    for name in MEMBERS:
        tx = getattr(adamx, name)(RATE)
        slots = tx.init(params).slots
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(slots)) / 1000
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
    for name in MEMBERS:
        ours = inspect.signature(getattr(adamx, name)).parameters
        theirs = inspect.signature(getattr(optax, name)).parameters
        for keyword in dict.fromkeys([*ours, *theirs]):
            cells = described(ours, keyword), described(theirs, keyword)
            if cells[0] != cells[1]:
                yield f"`{name}`", f"`{keyword}`", *cells, instead(ours, keyword)


def described(parameters: Any, keyword: str) -> str:
    """A parameter's default and place."""
    if keyword not in parameters:
        return "–"
    parameter = parameters[keyword]
    required = parameter.default is inspect.Parameter.empty
    default = "required" if required else f"`{parameter.default!r}`"
    if parameter.kind is parameter.KEYWORD_ONLY:
        return f"{default}, by keyword"
    return f"{default}, place {list(parameters).index(keyword) + 1}"


def instead(ours: Any, keyword: str) -> str:
    if keyword in ours:
        return ""
    return NESTEROV if keyword == "nesterov" else INSTEAD[keyword]


def values() -> Iterator[tuple[str, ...]]:
    """How far the same call goes apart, and the call that does not."""
    for name in MEMBERS:
        twin = getattr(optax, name)(RATE)
        call = SAME_VALUES.get(name, f"{name}(1e-3)")
        same = eval(call, vars(adamx))
        yield (
            f"`{name}(1e-3)`",
            apart(getattr(adamx, name)(RATE), twin, jnp.float32),
            f"`{call}`",
            apart(same, twin, jnp.float32),
            apart(same, twin, jnp.bfloat16),
        )


def apart(tx: Any, twin: Any, dtype: Any) -> str:
    """The largest difference between two updates, relative to the element's largest.

    The gradients are normal, of scales from 1e-3 to 10, and ten times smaller in the
    second half. Below 8 units in the last place it is called rounding.
    """
    random = np.random.default_rng(0)
    theta = jnp.asarray(random.normal(size=100), dtype)
    gradients = random.normal(size=(STEPS, 100)) * 10 ** random.uniform(-3, 1, size=100)
    gradients[STEPS // 2 :] /= 10
    gradients = jnp.asarray(gradients, dtype)

    @functools.partial(jax.jit, static_argnums=0)
    def updates(tx: Any, theta: Any, gradients: Any) -> Any:
        def step(state: Any, g: Any) -> tuple[Any, Any]:
            u, state = tx.update(g, state, theta)
            return state, u

        return jax.lax.scan(step, tx.init(theta), gradients)[1]

    ours, theirs = (
        np.asarray(updates(one, theta, gradients), np.float64) for one in (tx, twin)
    )
    difference = np.max(np.abs(ours - theirs) / np.max(np.abs(theirs), axis=0))
    rounding = 8 * float(jnp.finfo(dtype).eps)
    return "rounding" if difference < rounding else f"{difference:.0e}"


def differences() -> str:
    keywords = table("optimizer | keyword | adamx | Optax | instead", signatures())
    drift = table(
        "adamx and Optax | apart | as Optax | apart | apart, bfloat16", values()
    )
    return f"{keywords}\n\n{drift}"


TABLES: dict[str, Callable[[], str]] = {
    "members": lambda: table(
        "optimizer | made of | state | bytes per parameter | reference", members()
    ),
    "differences": differences,
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
