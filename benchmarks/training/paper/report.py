"""The claims of all figures in benchmarks/results, as tables of the documents."""

from collections.abc import Iterator
from typing import Any

from benchmarks.cost.harness.options import RESULTS
from benchmarks.training.paper.command import FIGURES, figure, kept


def results() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in FIGURES:
        result = kept(RESULTS, name)
        if result is not None:
            yield name, result


def claims() -> Iterator[tuple[str, ...]]:
    """Each claim in short: the sentence, its source, the verdict, the command."""
    for name, result in results():
        for claim in figure(name).claims(result):
            yield claim.sentence, claim.source, claim.verdict, f"`paper {name}`"


def measured() -> Iterator[tuple[str, ...]]:
    """Each claim with what was measured of it."""
    for name, result in results():
        for claim in figure(name).claims(result):
            yield claim.sentence, f"**{claim.verdict}**", claim.measured


def rates() -> Iterator[tuple[str, ...]]:
    """What the search found: the rate of each optimizer and the scores of its grid."""
    for _, result in results():
        for problem in result.get("problems", [result]):
            for row in problem.get("rows", ()):
                if "searched" not in row:
                    continue
                scores = ", ".join(
                    f"{rate}: {'diverged' if score is None else f'{score:.4g}'}"
                    for rate, score in row["searched"].items()
                )
                edge = " (an end of the grid)" if row["at the end of the grid"] else ""
                rate = f"{row['rate']:g}{edge}"
                yield problem["problem"], row["optimizer"], rate, scores
