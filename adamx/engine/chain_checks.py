"""The order of a chain's parts, checked when it is built: what cannot be meant.

A direction becomes a step by the learning rate, which also turns it downhill. `takes`
of a rule says on which side of the rate it stands, `place` whether it contains the
rate. A transformation that is no rule may do either: after it nothing is known.
"""

from collections.abc import Iterable
from typing import Any

from .. import errors

# masks of a rule: with more of them, it acts on fewer leaves
Masks = frozenset


def _shown(rule: Any) -> str:
    text = repr(rule)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _common(where: Masks, there: Iterable[tuple[Any, Masks]]) -> Any:
    """Return the last of the rules `there` that acts on the same leaves, or None.

    Those of two different masks may have no leaf in common.
    """
    known = [rule for rule, masks in there if masks <= where or where <= masks]
    return known[-1] if known else None


def check_order(parts: Iterable[Any]) -> None:
    """Raise an error if a part stands on the wrong side of the learning rate.

    Args:
        parts: the parts of a chain, with `_in_order`.
    """
    finished: list[tuple[Any, Masks]] = []  # what made a step, or took one
    unfinished: list[tuple[Any, Masks]] = []  # what has been given no step yet
    foreign = False  # whether what is not known may have made a step
    for part in parts:
        for rule, masks in part._in_order():
            if rule is None:
                finished, unfinished, foreign = [], [], True
                continue
            before = _common(masks, finished)
            makes_step = rule._has_place("step")
            if makes_step or rule.takes == "direction":
                _check_not_after_step(rule, before, makes_step)
            if makes_step:
                finished.append((rule, masks))
                unfinished = []
            elif rule.takes == "step":
                if before is None and not foreign:
                    _check_not_before_rate(rule, _common(masks, unfinished))
                finished.append((rule, masks))
            elif before is None:
                unfinished.append((rule, masks))


def _check_not_after_step(rule: Any, before: Any, makes_step: bool) -> None:
    if before is None:
        return
    if not makes_step:
        raise errors.AdamxError(
            f"chain: a part that makes the direction must stand before the learning "
            f"rate, got {_shown(rule)} after {_shown(before)}. {rule._after_rate}"
        )
    if before._has_place("step"):
        raise errors.AdamxError(
            f"chain: the learning rate must stand there once, got {_shown(rule)} after "
            f"{_shown(before)}, which would turn the step uphill. Leave one of them "
            f"out; to scale a step use optax.scale(0.5)."
        )
    raise errors.AdamxError(
        f"chain: a part that takes a finished step must stand after the learning rate, "
        f"got {_shown(before)} before {_shown(rule)}. Put it after the rate."
    )


def _check_not_before_rate(rule: Any, before: Any) -> None:
    if before is not None:
        raise errors.AdamxError(
            f"chain: {_shown(rule)} must be given a finished step, got the direction "
            f"of {_shown(before)}. Put LearningRate(...) before it, or pass a whole "
            f"optimizer such as adam(1e-3)."
        )
