"""One optimizer on one tree: what is measured of it, and the bars it is held to."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import jax

from benchmarks.cost.harness import measure
from benchmarks.cost.harness.parity import SAME, sameness
from benchmarks.cost.harness.ratio import Ratio, ratio
from benchmarks.cost.harness.trees import Tree
from benchmarks.optax_counterparts import Counterpart


@dataclasses.dataclass(frozen=True)
class Settings:
    """How long to measure."""

    rounds: int = 4  # of step blocks, each with buffers of its own
    repeats: int = (
        8  # blocks of four samples in a round of steps; half as many elsewhere
    )
    compiles: int = 2  # blocks in which the compiler runs
    sample_seconds: float = 0.02  # a sample of steps is at least this long
    judged: bool = True  # whether the trees are those that the bars are about


QUICK = Settings(rounds=1, repeats=2, compiles=1, sample_seconds=0.0, judged=False)


@dataclasses.dataclass(frozen=True)
class Program:
    """What the compiler says of one side's step."""

    temporary_bytes: int
    temporary_bytes_quartered: int  # of the same tree with leaves a quarter as long
    bytes_accessed: float
    fusions: int

    @property
    def grows(self) -> bool:
        """Whether a temporary grows with the parameters."""
        return self.temporary_bytes > self.temporary_bytes_quartered


@dataclasses.dataclass(frozen=True)
class Bar:
    """A limit, what was measured, and whether that meets the limit."""

    what: str
    limit: str
    measured: str
    met: bool


@dataclasses.dataclass(frozen=True)
class Row:
    optimizer: str
    tree: str
    form: str
    sameness: dict[str, float]
    ratios: dict[str, Ratio]
    ours: Program | None
    counterpart: Program | None
    bars: tuple[Bar, ...]

    @property
    def same(self) -> bool:
        return self.sameness["float64"] <= SAME


# (trace, eager) on the tree of 1,000 leaves, by the number of moments that are kept
BARS = {True: (0.5, 0.15), False: (1.5, 0.3)}
STEP = 1.02


def bars(
    optimizer: Counterpart, tree: Tree, ratios: dict[str, Ratio], ours: Program
) -> tuple[Bar, ...]:
    """What the project holds itself to, judged on the median."""
    step = ratios["step"]
    found = [
        Bar(
            "step",
            f"≤ {STEP}, or an interval that includes 1",
            f"{step.median:.3f} ({step.low:.3f}–{step.high:.3f})",
            step.median <= STEP or step.low <= 1 <= step.high,
        ),
        Bar(
            "temporaries",
            "none grows with the parameters",
            f"{ours.temporary_bytes} bytes, "
            f"{ours.temporary_bytes_quartered} with leaves a quarter as long",
            not ours.grows,
        ),
    ]
    if tree.name == "1000":
        for stage, limit in zip(
            ("trace", "eager"), BARS[optimizer.moments >= 2], strict=True
        ):
            r = ratios[stage]
            found.append(Bar(stage, f"≤ {limit}", str(r), r.median <= limit))
    return tuple(found)


def program_of(
    whole: jax.stages.Compiled, quartered: jax.stages.Compiled | None
) -> Program:
    temporary = whole.memory_analysis().temp_size_in_bytes
    if quartered is not None:
        smaller = quartered.memory_analysis().temp_size_in_bytes
    else:
        smaller = temporary
    return Program(
        temporary_bytes=temporary,
        temporary_bytes_quartered=smaller,
        bytes_accessed=(whole.cost_analysis() or {}).get("bytes accessed", 0.0),
        fusions=whole.as_text().count(" fusion("),
    )


def compare(
    optimizer: Counterpart,
    tree: Tree,
    settings: Settings,
    same: dict[str, float],
    clocks: measure.Clocks = measure.CLOCKS,
) -> Row:
    """Measure both sides of an optimizer on a tree, on the default device."""
    ours, theirs = optimizer.ours, optimizer.counterpart
    few = max(settings.repeats // 2, settings.compiles)
    rounds = measure.first_calls(ours, theirs, tree, few, settings.compiles, clocks)
    programs = tuple(measure.compiled(make, tree.shaped()) for make in (ours, theirs))
    quarter = measure.compiled(ours, tree.shaped(tree.size // 4))
    analysed = (program_of(programs[0], quarter), program_of(programs[1], None))
    rounds |= measure.step_times(
        ours,
        theirs,
        programs,
        tree,
        settings.rounds,
        settings.repeats,
        settings.sample_seconds,
        clocks,
    )
    rounds["eager"] = measure.eager_times(ours, theirs, tree, few, clocks)
    ratios = {stage: ratio(pairs) for stage, pairs in rounds.items()}
    judged = bars(optimizer, tree, ratios, analysed[0]) if settings.judged else ()
    return Row(
        optimizer.name,
        tree.name,
        optimizer.form,
        same,
        ratios,
        analysed[0],
        analysed[1],
        judged,
    )


def not_timed(optimizer: Counterpart, tree: Tree, same: dict[str, float]) -> Row:
    """A row that is not timed, because its sides compute different things."""
    bar = Bar(
        "same mathematics",
        f"≤ {SAME} in float64",
        f"{same['float64']:.1e}",
        met=False,
    )
    return Row(optimizer.name, tree.name, optimizer.form, same, {}, None, None, (bar,))


def run(
    optimizers: Sequence[Counterpart],
    trees: Sequence[Tree],
    settings: Settings,
    progress: Callable[[str], None],
    clocks: measure.Clocks = measure.CLOCKS,
) -> Iterator[Row]:
    """Every optimizer on its trees, each optimizer checked for sameness first."""
    same = {optimizer.name: sameness(optimizer) for optimizer in optimizers}
    for tree in trees:
        for optimizer in optimizers:
            if tree.name not in optimizer.trees:
                continue
            progress(f"{optimizer.name} on {tree}")
            known = same[optimizer.name]
            if known["float64"] > SAME:
                yield not_timed(optimizer, tree, known)
            else:
                yield compare(optimizer, tree, settings, known, clocks)
