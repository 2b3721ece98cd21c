"""The generated tables of the documents: `python -m docs.tables [--check]`.

Written into the pages of docs/ between `<!-- table: NAME -->` and
`<!-- end -->`; with `--check` compared with what stands there. CI does so on the lowest
versions of pyproject.toml, so that the tables change with the repository only.
"""

import argparse
import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import adamx
from adamx.descriptions.kinds import KINDS
from adamx.engine.keywords import instead_of
from benchmarks import roster
from benchmarks.cost import (
    all_optimizers as family,
    fused,
    importing,
    matrices,
    matrix_errors,
    matrix_targets,
    packing,
    rows,
    step,
)
from benchmarks.cost.accelerator import command as accelerator, parity
from benchmarks.cost.compiled import command as compiled
from benchmarks.cost.memory import report as memory
from benchmarks.cost.peers import picture
from benchmarks.training import failure_modes, matrix_training
from benchmarks.training.paper import report as paper
from benchmarks.training.processes import command as processes
from benchmarks.training.sharded import command as sharded
from benchmarks.training.step_share import command as share
from docs import authors, bars, deviations, expectations
from docs.deviations import RATE

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
FILES = (
    *(
        DOCS / f"{name}.md"
        for name in ("paper", "speed", "storage", "failure_modes", "row_sparse")
    ),
    DOCS / "matrices.md",
    DOCS / "sharded.md",
    DOCS / "differences_from_optax.md",
    DOCS / "differences_from_authors.md",
    DOCS / "optimizers" / "table.md",
)
SHAPE = (100, 100)
LONG = 1000


def table(head: str, rows: Iterator[tuple[str, ...]]) -> str:
    titles = head.split(" | ")
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def reference(name: str) -> str:
    doc = inspect.getdoc(getattr(adamx, name)) or ""
    found = re.search(r"^Reference: (.*?)(\n\n|\Z)", doc, re.M | re.S)
    if found is None:
        raise SystemExit(f"tables: the docstring of {name} must name its reference.")
    return " ".join(found[1].split()).rstrip(".")


def size(tx: Any) -> str:
    """The bytes that are kept for each float32 parameter of a matrix."""
    params = jnp.zeros(SHAPE, jnp.float32)
    kept = tx.init(params)
    arrays = jax.tree.leaves((kept.slots, kept.inner))
    large = sum(leaf.nbytes for leaf in arrays if leaf.ndim)
    return f"{large / params.size:g}"


def variants(name: str) -> str:
    """The keywords that choose another published form, not a number or some leaves."""
    found = []
    for keyword, parameter in inspect.signature(
        getattr(adamx, name)
    ).parameters.items():
        default = parameter.default
        number = isinstance(default, int | float) and not isinstance(default, bool)
        required = default is parameter.empty
        if not (number or required or keyword in ("mask", "axis_name", "key")):
            found.append(f"`{keyword}`")
        elif keyword == "eps" and "Eps" in str(parameter.annotation):
            found.append("`eps`")
    return ", ".join(found) or "–"


def optimizers() -> Iterator[tuple[str, ...]]:
    """Each optimizer in short."""
    for name in roster.ALL:
        tx = roster.built(name)
        yield (
            f"`{name}`",
            size(tx),
            roster.scope(tx),
            deviations.from_optax(name),
            deviations.from_torch(name),
            reference(name),
        )


def parts() -> Iterator[tuple[str, ...]]:
    """Each optimizer with its parts, its state and its variants."""
    for name in roster.ALL:
        tx = roster.built(name)
        kept = tx.init(jnp.zeros(SHAPE, jnp.float32))
        slots = ", ".join(f"`{slot}`" for slot in kept.slots) or "none"
        yield f"`{name}`", f"`{tx!r}`", slots, variants(name)


def signatures() -> Iterator[tuple[str, ...]]:
    """Every keyword that one of the two lacks, or has with another default."""
    for name, (where, function) in deviations.IN_OPTAX.items():
        ours = inspect.signature(getattr(adamx, name)).parameters
        theirs = inspect.signature(function).parameters
        for keyword in dict.fromkeys([*ours, *theirs]):
            cells = described(ours, keyword), described(theirs, keyword)
            if cells[0] != cells[1]:
                instead = "" if keyword in ours else instead_of(keyword, name, ours)
                yield f"`{where}`", f"`{keyword}`", *cells, instead


def described(parameters: Any, keyword: str) -> str:
    """A parameter's default."""
    if keyword not in parameters:
        return "–"
    parameter = parameters[keyword]
    default = parameter.default
    if default is inspect.Parameter.empty:
        return "required"
    if isinstance(default, tuple) and hasattr(default, "_fields"):
        return "a transformation"
    return f"`{getattr(default, '__name__', repr(default))}`"


def values() -> Iterator[tuple[str, ...]]:
    """How far the same call goes apart, and why where it is by more than rounding."""
    for name, (where, function) in deviations.IN_OPTAX.items():
        if name in deviations.CALLED_OTHERWISE:
            yield f"`{where}`", "–", "–", "–", deviations.REASONS[name]
            continue
        tx, counterpart = getattr(adamx, name)(RATE), function(RATE)
        found = {
            dtype: deviations.apart(tx, counterpart, dtype, LONG)
            for dtype in deviations.ROUNDING
        }
        yield (
            f"`{where}(1e-3)`",
            *(deviations.said(apart, dtype) for dtype, apart in found.items()),
            deviations.REASONS.get(name, ""),
        )


MATRIX_WORDS = ("axes", "iteration", "spread", "axis_name", "merge_dims")
DECAY_WORDS = ("weight_decay", "adam_weight_decay")


def matrix_arguments() -> Iterator[tuple[str, ...]]:
    """Which optimizer of matrices takes which argument, by the signatures."""
    for name in (*KINDS["Matrices"].split(), "mars"):
        known = inspect.signature(getattr(adamx, name)).parameters
        taken = [word in known for word in MATRIX_WORDS]
        taken += [
            word in known and "Decay" in str(known[word].annotation)
            for word in DECAY_WORDS
        ]
        yield f"`{name}`", *("yes" if found else "–" for found in taken)


def differences() -> str:
    keywords = table("in Optax | keyword | adamx | Optax | instead", signatures())
    drift = table("the same call | float32 | float64 | bfloat16 | why", values())
    return f"{keywords}\n\n{drift}"


def passes() -> str:
    """How many tasks each optimizer passes, and how many optimizers each task."""
    optimizers, tasks = map(iter, failure_modes.tallies())
    first = table("tasks passed | by", optimizers)
    return f"{first}\n\n{table('optimizers that pass | tasks', tasks)}"


TABLES: dict[str, Callable[[], str]] = {
    "optimizers": lambda: table(
        "optimizer | bytes | scope | Optax | torch | paper and algorithm", optimizers()
    ),
    "parts": lambda: table("optimizer | made of | state | variants", parts()),
    "differences": differences,
    "authors": lambda: table(
        "optimizer | authors' code | same defaults | other defaults | must be given",
        authors.rows(),
    ),
    "step": lambda: table(step.HEAD, step.table()),
    "family": lambda: table(family.HEAD, family.table()),
    "failure_modes": passes,
    "matrix_arguments": lambda: table(
        " | ".join(
            ("optimizer", *MATRIX_WORDS, "decay as a part", "Adam's decay as a part")
        ),
        matrix_arguments(),
    ),
    "matrix_errors": lambda: table(
        " | ".join(matrix_errors.HEAD), iter(matrix_errors.table())
    ),
    "matrix_targets": lambda: table(
        " | ".join(matrix_targets.HEAD), matrix_targets.table()
    ),
    "matrix_cost": matrices.cost_markdown,
    "matrix_torch": matrices.markdown,
    "matrix_training": matrix_training.markdown,
    "accelerator": accelerator.markdown,
    "parity": parity.markdown,
    "compiled": compiled.markdown,
    "import": importing.markdown,
    "bars": lambda: table(bars.HEAD, bars.table()),
    "expectations": lambda: table(expectations.HEAD, expectations.table()),
    "fused": lambda: table(fused.HEAD, fused.table()),
    "fused_in_blocks": fused.in_blocks,
    "peers": picture.markdown,
    "sharded": sharded.markdown,
    "processes": processes.markdown,
    "rows": lambda: table(rows.HEAD, rows.table()),
    "packing": lambda: table(packing.HEAD, packing.table()),
    "share": lambda: table(share.HEAD, share.table()),
    "paper_claims": lambda: table("claim | source | here | command", paper.claims()),
    "paper_measured": lambda: table("claim | here | measured", paper.measured()),
    "paper_rates": lambda: table(
        "problem | optimizer | rate | searched: loss", paper.rates()
    ),
    "memory_sizes": memory.sizes_table,
    "memory_staleness": memory.staleness_table,
    "memory_parity": memory.parity_table,
    "memory_speed": memory.speed_table,
    "memory_combine": memory.combine_table,
}


@functools.cache
def made(name: str) -> str:
    return TABLES[name]()


def written(text: str) -> str:
    """The document with the tables that it has marks for made anew."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)",
        lambda m: f"{m[1]}{made(m[2])}\n{m[3]}",
        text,
        flags=re.DOTALL,
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m docs.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    old = {path: path.read_text() for path in FILES}
    for name in TABLES:
        if not any(f"<!-- table: {name} -->" in text for text in old.values()):
            raise SystemExit(
                f"tables: a document must have the mark of table {name!r}."
            )
    stale = 0
    for path, text in old.items():
        new = written(text)
        if not check:
            path.write_text(new)
        elif new != text:
            here = set(text.splitlines())
            print(f"tables: {path.name} is not what `python -m docs.tables` writes:")
            print(*(line for line in new.splitlines() if line not in here), sep="\n")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
