"""What was aimed at for speed, beside what the records say."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from docs.expectations import rows_of, run_of

HEAD = "aim | at most | measured | met?"
ONE, MANY, THOUSAND = "1 × 32,000,000", "148 × 10,000", "1,000 × 1,000"
HAND_OVER = "JAX hands each array over by itself"
DECODE = "numbers are decoded and encoded one by one, and arrays are handed over"


class Bar(NamedTuple):
    """An aim.

    Attributes:
        what: what is compared.
        most: the most that the ratio, or the seconds, should be.
        measured: what a record says.
        why: if it is missed, what stops it.
    """

    what: str
    most: float
    measured: float
    why: str

    def cells(self) -> tuple[str, ...]:
        met = "yes" if self.measured <= self.most else f"no: {self.why}"
        return self.what, f"{self.most:.2f}", f"{self.measured:.2f}", met


def table() -> Iterator[tuple[str, ...]]:
    """A row for each aim: the time beside Optax and torch, compile time, import."""
    yield from (bar.cells() for bar in _bars())


def _bars() -> Iterator[Bar]:
    fused = {(row["tree"], row["storage"]): row for row in rows_of("fused")}
    step = "step of `fused(adamw)`, {}, {}, beside Optax's in float32"
    for storage, most in (("float32", 0.65), ("bfloat16", 0.6), ("8 bits", 0.9)):
        for tree in (ONE, MANY):
            if tree == ONE or storage != "float32":
                why = HAND_OVER if storage == "bfloat16" else DECODE
                ratio = fused[tree, storage]["fused"]["ratio"][1]
                yield Bar(step.format(storage, tree), most, ratio, why)
    for tree, name, most in ((ONE, "1", 1.05), (MANY, "148", 1), (THOUSAND, "1000", 1)):
        what = f"the same, float32, {tree}, beside torch's fused step"
        yield Bar(what, most, _beside_torch(name), HAND_OVER)
    compiled = "compile time of {}, beside Optax in float32"
    for call, side in (("`fused(adamw)`", "fused"), ("`adamx.step`", "plain")):
        row = fused[THOUSAND, "float32"]
        seconds = row[side]["compile_seconds"] / row["optax"]["compile_seconds"]
        why = "gradients are bounded, in more operations a leaf; use `fused`"
        yield Bar(compiled.format(f"{call}, {THOUSAND}"), 1.2, seconds, why)
        for tree, storage in ((MANY, "8 bits"), (THOUSAND, "8 bits everywhere")):
            row = fused[tree, storage]
            seconds = row[side]["compile_seconds"] / row["optax"]["compile_seconds"]
            why = "the codec is many operations for each leaf; use `fused`"
            yield Bar(compiled.format(f"{call}, {storage}, {tree}"), 3, seconds, why)
    yield Bar("seconds of `import adamx`", 0.15, run_of("import")["cpu"][1], "")


def _beside_torch(tree: str) -> float:
    """The seconds of a fused step of AdamW in float32 beside those of torch's."""
    row: dict[str, Any] = next(
        row
        for row in rows_of("peers")
        if (row["optimizer"], row["tree"], row["storage"]) == ("adamw", tree, "float32")
    )
    ours, theirs = (row["results"][side] for side in ("adamx fused", "torch fused"))
    return ours["step"][1] / theirs["step"][1]
