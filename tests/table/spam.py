"""The row of spam."""

import adamx
from adamx import chain
from adamx.optimizers import SpikeClip
from adamx.parts import LearningRate, PeriodicReset
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

SHORT = {"interval": 16, "warmup_steps": 5, "clip_warmup": 3, "spike_threshold": 20.0}

IN_PAPER = {"interval": 16, "warmup": 5, "grad_accu_steps": 3, "threshold": 20.0}

ROWS = (
    Optimizer(
        "spam",
        (
            Variant(""),
            Variant("short", SHORT, oracle_keywords=IN_PAPER),
            Variant(
                "recounted",
                {**SHORT, "recount": True, "weight_decay": 0.1},
                oracle_keywords={
                    **IN_PAPER,
                    "recount": True,
                    "weight_decay": 0.1,
                    "decay_first": True,
                },
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu"),
        shared=("since_restart",),
        scale_free_from=1,
    ),
)


def _spam(clip=None, **changes):
    """SPAM with one of its parts exchanged."""
    adam = adamx.scale_by_adam(eps=adamx.parts.EpsBeforeCorrection(1e-6))
    words = {"every": 16, "warmup": 5} | changes
    clip = SpikeClip(20.0, 3, 16) if clip is None else clip
    return chain(clip, PeriodicReset(adam, **words), LearningRate(RATE))


# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "spam: restarts a step late": ((papers.spam, IN_PAPER), lambda: _spam(every=17)),
    "spam: no warm-up": ((papers.spam, IN_PAPER), lambda: _spam(warmup=0)),
    "spam: the warm-up a step short": (
        (papers.spam, IN_PAPER),
        lambda: _spam(warmup=4),
    ),
    "spam: the corrections begin anew": (
        (papers.spam, IN_PAPER),
        lambda: _spam(recount=True),
    ),
    "spam: clipped right after a restart": (
        (papers.spam, IN_PAPER),
        lambda: _spam(clip=SpikeClip(20.0, 3)),
    ),
    "spam: never restarted": (
        (papers.spam, IN_PAPER),
        lambda: chain(
            SpikeClip(20.0, 3, 16),
            adamx.adam(RATE, eps=adamx.parts.EpsBeforeCorrection(1e-6)),
        ),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "spam of its parts": (_spam, papers.spam, IN_PAPER),
}
