"""The optimizers that are compared: how each is made, and the rates it is searched on.

Six rates each, in steps of √10 around its usual one, so that all have the same budget.
Everything else is adamx's default, which is the paper's or Optax's, but for AdaGrad,
RMSProp and AdamW, which are those of the paper and of torch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import adamx
from adamx.parts import EpsOutsideRoot


class Entry(NamedTuple):
    """`make(learning_rate)` is the optimizer; `usual` the middle of its rates."""

    name: str
    make: Callable[..., Any]
    usual: float

    def rates(self, count: int = 6) -> list[float]:
        """`count` rates in steps of √10; the usual one is the upper middle."""
        return [
            float(f"{self.usual * 10 ** ((i - count // 2) / 2):.3g}")
            for i in range(count)
        ]


def nesterov(learning_rate: Any, momentum: Any = 0.9) -> Any:
    return adamx.sgd(learning_rate, momentum=momentum, nesterov=True)


def adamw(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999) -> Any:
    """AdamW with the decay of torch."""
    return adamx.adamw(learning_rate, b1, b2, weight_decay=1e-2)


def narrow_adamw(learning_rate: Any) -> Any:
    codec = adamx.storage.Blockwise()
    return adamx.store(adamw(learning_rate), mu=codec, nu=codec)


def adagrad(learning_rate: Any) -> Any:
    """AdaGrad from 0 with ε outside the root, as in its paper and in torch."""
    return adamx.adagrad(learning_rate, 0.0, EpsOutsideRoot(1e-10))


def rmsprop(learning_rate: Any, decay: Any = 0.9) -> Any:
    """RMSProp with ε outside the root, as in torch."""
    return adamx.rmsprop(learning_rate, decay, EpsOutsideRoot(1e-8))


def muon(learning_rate: Any) -> Any:
    """Adam, for what is no hidden matrix, at a tenth of Muon's rate."""
    tenth: Any = learning_rate / 10 if not callable(learning_rate) else None
    if tenth is None:

        def tenth(count: Any) -> Any:
            return learning_rate(count) / 10

    return adamx.muon(learning_rate, eps=1e-7, adam_eps=1e-8, adam_learning_rate=tenth)


ENTRIES = {
    entry.name: entry
    for entry in (
        Entry("SGD", adamx.sgd, 0.3),
        Entry("SGD, Nesterov", nesterov, 0.03),
        Entry("AdaGrad", adagrad, 0.03),
        Entry("RMSProp", rmsprop, 1e-3),
        Entry("AdaDelta", adamx.adadelta, 1.0),
        Entry("Adam", adamx.adam, 1e-3),
        Entry("AdamW", adamw, 1e-3),
        Entry("RAdam", adamx.radam, 3e-3),
        Entry("NAdamW", adamx.nadamw, 1e-3),
        Entry("Lion", adamx.lion, 1e-4),
        Entry("ADOPT", adamx.adopt, 1e-3),
        Entry("schedule-free AdamW", adamx.schedule_free_adamw, 3e-3),
        Entry("Muon", muon, 0.02),
        Entry("AdamW, 8 bits", narrow_adamw, 1e-3),
    )
}


def chosen(*names: str) -> list[Entry]:
    return [ENTRIES[name] for name in names]


def shaped(entry: Entry, shape: Callable[[Any], Any], factor: float = 1) -> Entry:
    """The same with its rate times `shape(count)`, on a grid `factor` times as high."""

    def make(learning_rate: Any) -> Any:
        return entry.make(lambda count: learning_rate * shape(count))

    return Entry(entry.name, make, factor * entry.usual)
