"""Grafting: the length of one optimizer's step, the direction of another's."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.rule import as_rule
from ..parts.grafting import Graft


def graft(
    *, magnitude: Any, direction: Any, start: int = 1, axis_name: Any = None
) -> Chain:
    """Take the length of a step from one optimizer and its direction from another.

        u ← ‖m‖ d / ‖d‖    for each tensor

    It is how Shampoo is used: at the rate of Adam or SGD, which are known. Either both
    have their learning rate, `graft(magnitude=sgd(0.1), direction=shampoo(1.0))`, where
    that of `direction` does not matter, or neither, for a rate and a decay after it:
    `chain(graft(magnitude=scale_by_adam(), direction=scale_by_shampoo()),
    WeightDecay(1e-2), LearningRate(1e-3))`.

    Distributed Shampoo (Shi et al.) with Adam's length, roots of every 50th step and
    Adam's own steps before the first root, here with momentum at the end:

        direction = scale_by_shampoo(
            1e-12, b2=0.999, bias_correction=True, precondition_frequency=50,
            start_preconditioning_step=50,
        )
        grafted = graft(
            magnitude=scale_by_adam(0.0), direction=direction, start=50
        )
        tx = chain(grafted, Ema(0.9), WeightDecay(1e-2), LearningRate(1e-3))

    Their code takes the length block by block where a matrix is cut; here it is that of
    the whole tensor. Their momentum averages the gradients before the roots, here it
    averages what comes out of them.

    Args:
        magnitude: the optimizer whose length is taken: a rule or a chain of rules.
        direction: the optimizer whose direction is taken, likewise.
        start: the first step with that direction; before it the step is that of
            `magnitude`. Both gather their states from the first step on.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Raises:
        ValueError: only one of them has a learning rate; `start` below 1.
        TypeError: one of them is no rule and no chain of rules.

    Reference: Agarwal et al., "Disentangling adaptive gradient methods from learning
    rates", 2020, Algorithm 1, arXiv:2002.11803; `start`: Shi et al., "A distributed
    data-parallel PyTorch implementation of the distributed Shampoo optimizer", 2023,
    arXiv:2309.06497.
    """
    parts = {"magnitude": magnitude, "direction": direction}
    rules = {name: as_rule("graft", name, tx) for name, tx in parts.items()}
    return chain(Graft(**rules, start=start, axis_name=axis_name))
