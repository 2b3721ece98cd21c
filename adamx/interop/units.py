"""The moments that Optax keeps in other units than adamx.

| Optax | adamx | Optax's field is |
| --- | --- | --- |
| `rmsprop` with momentum | `Momentum` before the rate α | -α times the slot |
| `adafactor` with momentum | step, negated, in the mean | minus the slot |
| `rprop` | step sizes in units of α | α times the slot |

They are told apart by the parts of the transformation of adamx, and by where Optax's
state stands in its chain. For α an array or a schedule there is no such number.
"""

from collections.abc import Callable
from typing import Any

from .. import errors
from ..engine.chain import Chain, RuleSequence
from ..engine.hyperparams import is_constant
from ..optimizers.rprop import RpropDirection
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, Momentum
from ..wrappers.tunable import Tunable
from . import optax_states as states

Columns = dict[str, list]


def from_optax(tx: Any, saved: Any, columns: Columns) -> Columns:
    """Return the slots in the units of `tx`, read from a state of Optax."""
    return _changed(tx, saved, columns, lambda x, unit: x / unit)


def to_optax(tx: Any, fresh: Any, columns: Columns) -> Columns:
    """Return the slots in the units of Optax, for a state like `fresh`."""
    return _changed(tx, fresh, columns, lambda x, unit: x * unit)


def _changed(
    tx: Any, theirs: Any, columns: Columns, change: Callable[[Any, Any], Any]
) -> Columns:
    new = dict(columns)
    for name, unit in _units(tx, theirs):
        if name in new:
            new[name] = [x if _is_nothing(x) else change(x, unit) for x in new[name]]
    return new


def _is_nothing(x: Any) -> bool:
    return x is None or not hasattr(x, "dtype") or x.dtype == bool


def _units(tx: Any, theirs: Any) -> list[tuple[str, float]]:
    """Return the slots that differ, and what one of adamx is in Optax."""
    rules = _rules(tx)
    kinds = [type(rule) for rule in rules]
    names = {type(x).__name__ for x in states.every(theirs)}
    found: list[tuple[str, float]] = []
    if "ScaleByRpropState" in names and RpropDirection in kinds:
        rate = rules[kinds.index(RpropDirection)].rate
        found.append(("step_size", _rate("rprop", getattr(rate, "learning_rate", 1.0))))
    if LearningRate not in kinds:
        return found
    place = kinds.index(LearningRate)
    if Momentum in kinds[:place] and _is_last(theirs):
        rate = _rate("rmsprop", rules[place].learning_rate)
        found.append(("momentum", -rate))
    if "FactoredState" in names and Ema in kinds[place:]:
        found.append(("mu", -1.0))
    return found


def _rules(tx: Any) -> list[Any]:
    """Return the rules of a chain in order, through those that are a sequence."""
    if isinstance(tx, Tunable):
        return _rules(tx.inner)
    if isinstance(tx, Chain | RuleSequence):
        parts = tx.parts if isinstance(tx, Chain) else tx.rules
        return [rule for part in parts for rule in _rules(part)]
    return [] if tx is None else [tx]


def _is_last(theirs: Any) -> bool:
    """Return whether Optax's momentum comes after a moment and its learning rate."""
    if type(theirs) is not tuple or len(theirs) < 3:
        return False
    return type(theirs[-1]).__name__ == "TraceState" and states.is_known(theirs[0])


def _rate(where: str, rate: Any) -> float:
    if not is_constant(rate) or rate == 0:
        raise errors.AdamxError(
            f"restore: the learning rate of {where} must be a number above 0, since "
            f"Optax keeps a moment in its units, got {rate!r}. Restore into the "
            f"constant that was used, then change the rate."
        )
    return rate
