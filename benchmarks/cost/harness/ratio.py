"""Computes one ratio and its interval from interleaved pairs of times."""

import dataclasses
from collections.abc import Sequence

import numpy as np

Pair = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Ours over theirs: the median of the blocks' ratios and its 95 % interval."""

    median: float
    low: float
    high: float
    ours: float  # median seconds
    theirs: float
    blocks: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def ratio(rounds: Sequence[Sequence[Pair]], draws: int = 2000) -> Ratio:
    """The ratio of rounds of blocks, each block an `(ours, theirs)` pair of times.

    The interval is the bootstrap's, of rounds and then of blocks within them: blocks
    of one round share their buffers, so that only rounds are independent of where
    these happened to lie.
    """
    blocks = [np.array([a / b for a, b in pairs]) for pairs in rounds]
    rng = np.random.default_rng(0)
    medians = []
    for _ in range(draws):
        chosen = rng.integers(len(blocks), size=len(blocks))
        medians.append(
            np.median(
                np.concatenate(
                    [rng.choice(blocks[i], size=blocks[i].size) for i in chosen]
                )
            )
        )
    low, high = np.quantile(medians, (0.025, 0.975))
    ours, theirs = np.median([pair for pairs in rounds for pair in pairs], axis=0)
    return Ratio(
        median=float(np.median(np.concatenate(blocks))),
        low=float(low),
        high=float(high),
        ours=float(ours),
        theirs=float(theirs),
        blocks=sum(map(len, rounds)),
    )
