"""Grafting: the length of one optimizer's step, the direction of another's."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.rule import as_rule
from ..parts.grafting import Graft


def graft(*, magnitude: Any, direction: Any, axis_name: Any = None) -> Chain:
    """Take the length of a step from one optimizer and its direction from another.

        u ← ‖m‖ d / ‖d‖    for each tensor

    It is how Shampoo is used: at the rate of Adam or SGD, which are known. Either both
    have their learning rate, `graft(magnitude=sgd(0.1), direction=shampoo(1.0))`, where
    that of `direction` does not matter, or neither, for a rate and a decay after it:
    `chain(graft(magnitude=scale_by_adam(), direction=scale_by_shampoo()),
    WeightDecay(1e-2), LearningRate(1e-3))`.

    Args:
        magnitude: the optimizer whose length is taken: a rule or a chain of rules.
        direction: the optimizer whose direction is taken, likewise.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Raises:
        ValueError: only one of them has a learning rate.
        TypeError: one of them is no rule and no chain of rules.

    Reference: Agarwal et al., "Disentangling adaptive gradient methods from learning
    rates", 2020, Algorithm 1, arXiv:2002.11803.
    """
    parts = {"magnitude": magnitude, "direction": direction}
    rules = {name: as_rule("graft", name, tx) for name, tx in parts.items()}
    return chain(Graft(**rules, axis_name=axis_name))
