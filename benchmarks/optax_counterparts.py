"""The optimizers that are measured, each with the counterpart in Optax.

A new optimizer is one more row. The two sides must be the same mathematics: where the
defaults of the two libraries are different forms, the row brings them to one form by a
keyword of either and says so in `form`. `benchmarks.cost.harness.parity` checks it in
float64 before anything is timed. What Optax has and no row here says why in `WITHOUT`.
"""

import dataclasses
from collections.abc import Callable

import optax

import adamx

Make = Callable[[], optax.GradientTransformation]
EVERY = ("1", "148", "1000")
"""The names of the trees, for the optimizers that all bars are about."""


@dataclasses.dataclass(frozen=True)
class Counterpart:
    """One row: how each side is built, anew at every call."""

    name: str
    moments: int  # arrays like the parameters that it keeps; decides which bars hold
    ours: Make
    counterpart: Make
    form: str = "as both libraries have it"
    trees: tuple[str, ...] = ("148",)  # on which it is measured unless asked

    def null(self) -> "Counterpart":
        """Optax on both sides: what it shows beside 1 is the noise of the harness."""
        return dataclasses.replace(self, ours=self.counterpart)


RATE = 1e-3

COUNTERPARTS = {
    optimizer.name: optimizer
    for optimizer in (
        Counterpart(
            "sgd",
            1,
            lambda: adamx.sgd(RATE, momentum=0.9),
            lambda: optax.sgd(RATE, momentum=0.9),
            "momentum 0.9, before the rate on either side",
            EVERY,
        ),
        Counterpart(
            "adagrad",
            1,
            lambda: adamx.adagrad(RATE, 0.0),
            lambda: optax.adagrad(RATE, initial_accumulator_value=0.0),
            "both start at 0, as the paper",
            EVERY,
        ),
        Counterpart(
            "rmsprop",
            1,
            lambda: adamx.rmsprop(RATE, eps=adamx.parts.EpsOutsideRoot(1e-8)),
            lambda: optax.rmsprop(RATE, eps_in_sqrt=False),
            "eps outside the root, as in torch",
            EVERY,
        ),
        Counterpart(
            "adam",
            2,
            lambda: adamx.adam(RATE),
            lambda: optax.adam(RATE),
            trees=EVERY,
        ),
        Counterpart(
            "adamw",
            2,
            lambda: adamx.adamw(RATE, weight_decay=1e-2),
            lambda: optax.adamw(RATE, weight_decay=1e-2),
            "weight decay 0.01, as in torch",
            EVERY,
        ),
        Counterpart(
            "radam",
            2,
            lambda: adamx.radam(RATE),
            lambda: optax.radam(RATE),
            "threshold 5; where rho equals it exactly, only Optax rectifies",
            EVERY,
        ),
        Counterpart(
            "adamax", 2, lambda: adamx.adamax(RATE), lambda: optax.adamax(RATE)
        ),
        Counterpart(
            "adamaxw", 2, lambda: adamx.adamaxw(RATE), lambda: optax.adamaxw(RATE)
        ),
        Counterpart("nadam", 2, lambda: adamx.nadam(RATE), lambda: optax.nadam(RATE)),
        Counterpart(
            "nadamw", 2, lambda: adamx.nadamw(RATE), lambda: optax.nadamw(RATE)
        ),
        Counterpart(
            "amsgrad", 3, lambda: adamx.amsgrad(RATE), lambda: optax.amsgrad(RATE)
        ),
        Counterpart(
            "adabelief", 2, lambda: adamx.adabelief(RATE), lambda: optax.adabelief(RATE)
        ),
        Counterpart(
            "yogi",
            2,
            lambda: adamx.yogi(RATE),
            lambda: optax.yogi(RATE),
        ),
        Counterpart("lion", 1, lambda: adamx.lion(RATE), lambda: optax.lion(RATE)),
        Counterpart(
            "signum", 1, lambda: adamx.signum(RATE), lambda: optax.signum(RATE)
        ),
        Counterpart(
            "ademamix",
            3,
            lambda: adamx.ademamix(RATE),
            lambda: optax.contrib.ademamix(RATE),
        ),
        Counterpart(
            "simplified_ademamix",
            2,
            lambda: adamx.simplified_ademamix(RATE),
            lambda: optax.contrib.simplified_ademamix(RATE),
        ),
        Counterpart(
            "adopt", 2, lambda: adamx.adopt(RATE), lambda: optax.contrib.adopt(RATE)
        ),
        Counterpart(
            "adadelta", 2, lambda: adamx.adadelta(RATE), lambda: optax.adadelta(RATE)
        ),
        Counterpart("lamb", 2, lambda: adamx.lamb(RATE), lambda: optax.lamb(RATE)),
        Counterpart("lars", 1, lambda: adamx.lars(RATE), lambda: optax.lars(RATE)),
        Counterpart(
            "novograd", 1, lambda: adamx.novograd(RATE), lambda: optax.novograd(RATE)
        ),
        Counterpart(
            "schedule_free",
            3,
            lambda: adamx.schedule_free(adamx.adam(RATE), RATE),
            lambda: optax.contrib.schedule_free(optax.adam(RATE), RATE),
        ),
        Counterpart(
            "schedule_free_adamw",
            2,
            lambda: adamx.schedule_free_adamw(RATE),
            lambda: optax.contrib.schedule_free_adamw(RATE),
        ),
        Counterpart(
            "schedule_free_sgd",
            1,
            lambda: adamx.schedule_free_sgd(10.0),
            lambda: optax.contrib.schedule_free_sgd(10.0),
            "rate 10, so that rounding of the parameters hides no update in the check",
        ),
        Counterpart("prodigy", 4, adamx.prodigy, optax.contrib.prodigy),
        Counterpart("dadapt_adamw", 3, adamx.dadapt_adamw, optax.contrib.dadapt_adamw),
        Counterpart("dog", 1, adamx.dog, optax.contrib.dog),
        Counterpart("dowg", 1, adamx.dowg, optax.contrib.dowg),
    )
}

WITHOUT = {
    "adafactor": "made for matrices, and the trees here are of vectors",
    "adan": "Optax has 1 - b2 where b2 is right",
    "galore": "made for matrices, and the trees here are of vectors",
    "lookahead": "Optax's is of pairs of parameters",
    "muon": "made for matrices, and the trees here are of vectors",
    "rprop": "Optax returns the step of the step before",
    "sm3": "made for matrices, and the trees here are of vectors",
    "sophia": "Optax's makes its estimate itself, and divides by the one before",
}
"""Why an optimizer that Optax has too is not timed beside it."""
