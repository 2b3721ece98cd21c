"""Cautious and Grams: an optimizer's direction compared with the gradient."""

from typing import Any

from .. import errors
from ..engine.chain import Chain, External, chain
from ..engine.rule import Rule
from ..engine.value import made_by, noted
from ..parts.directions import Cautious, Grams
from ..parts.masked import Masked
from ..parts.weight_decay import (
    CautiousWeightDecay,
    IndependentWeightDecay,
    WeightDecay,
)

_DECAYS = (WeightDecay, CautiousWeightDecay, IndependentWeightDecay)


def _is_after(part: Any) -> bool:
    """Return whether a part is a weight decay or the learning rate."""
    if isinstance(part, Masked):
        return _is_after(part.part)
    return isinstance(part, _DECAYS) or (
        isinstance(part, Rule) and part._has_place("step")
    )


def _around(where: str, tx: Any, wrap: Any) -> Chain:
    """Wrap the direction of `tx`: all parts before the last decays and rate."""
    parts = tx.parts if isinstance(tx, Chain) else (tx,)
    if not isinstance(tx, Chain | Rule):
        raise errors.type_error(
            where,
            "`tx` must be a rule or a chain of rules",
            repr(tx),
            "Change the inner transformation of a wrapper before it is wrapped.",
        )
    end = len(parts)
    while end and _is_after(parts[end - 1]):
        end -= 1
    foreign = [p for p in parts[:end] if isinstance(p, External)]
    if foreign or not end:
        raise errors.type_error(
            where,
            "`tx` must have a direction made of rules before its decay and rate",
            repr(foreign[0] if foreign else tx),
            "Pass for example adamw(1e-3).",
        )
    turned = [p for p in parts[:end] if p._has_place("step")]
    if turned:
        raise errors.type_error(
            where,
            "nothing but a decay may come after the rate in `tx`",
            f"{parts[end - 1]!r} after {turned[0]!r}",
            f"Change the direction inside, as in lookahead({where}(adam(1e-3))).",
        )
    made = chain(wrap(chain(*parts[:end])), *parts[end:])
    return noted(made, *made_by(tx))


def cautious(tx: Any, *, axis_name: Any = None) -> Chain:
    """Mask the elements of an optimizer's direction that oppose the gradient.

    `cautious(adamw(1e-3))` puts `Cautious` around AdamW's direction, before the decay
    and the rate. For another published form of its scale use parts, such as
    `chain(Cautious(scale_by_adam(), CautiousCount()), LearningRate(1e-3))`.

    Args:
        tx: a rule, or a chain of rules with at most decays and a rate at its end.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Raises:
        TypeError: `tx` is no such chain.

    Reference: Liang et al., "Cautious optimizers: improving training with one line of
    code", 2024, arXiv:2411.16085.
    """
    return _around("cautious", tx, lambda part: Cautious(part, axis_name=axis_name))


def grams(tx: Any) -> Chain:
    """Give an optimizer's direction the signs of the gradient, and keep its sizes.

    `grams(adamw(1e-3))` puts `Grams` around AdamW's direction, before the decay and the
    rate; Grams' own algorithm decays after the step.

    Args:
        tx: a rule, or a chain of rules with at most decays and a rate at its end.

    Raises:
        TypeError: `tx` is no such chain.

    Reference: Cao, Li & Song, "Grams: gradient descent with adaptive momentum scaling",
    2024, arXiv:2412.17107.
    """
    return _around("grams", tx, Grams)
