"""What a run has logged, as arrays over its steps, in either form that runs have it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from .. import errors

FORMS = (
    "Pass a list of adamx.metrics(state), or the dict of arrays that lax.scan makes of "
    "them."
)


class History(NamedTuple):
    """The metrics of a run.

    Attributes:
        where: the function that reads them, for its errors.
        values: arrays of one length by key; NaN where a step has no such key.
    """

    where: str
    values: dict[str, np.ndarray]

    def prefixes(self, key: str) -> list[str]:
        """Return what stands before `key` in the keys that end in it, in order."""
        found = [k.removesuffix(key) for k in self.values if k.endswith(key)]
        found = [prefix for prefix in found if prefix == "" or prefix.endswith("/")]
        if not found:
            raise errors.AdamxError(
                f"{self.where}: `history` must have the key {key!r}, got "
                f"{errors.listed(self.values) or 'no keys'}. It is one of the metrics "
                f"of adamx.observe."
            )
        return found

    def over_steps(self, *keys: str, prefix: str = "") -> list[np.ndarray]:
        """Return the steps and the values of these keys, once for each sampled step.

        Between samples metrics stay as they are: a step that is there again is left
        out, and so is step 0, before the first.
        """
        each = [self.values[prefix + key] for key in keys]
        counted = self.values.get(f"{prefix}step", self.values.get("step"))
        if counted is None:
            return [np.arange(1, len(each[0]) + 1), *each]
        seen = np.flatnonzero(np.isfinite(counted) & (counted > 0))
        steps, first = np.unique(counted[seen], return_index=True)
        return [steps, *(values[seen[first]] for values in each)]


def read_history(where: str, history: Any) -> History:
    """Return a history from a list of dicts, or from a dict of arrays."""
    if isinstance(history, Mapping):
        given = jax.device_get(dict(history))
        values = {str(key): _wide(x) for key, x in given.items()}
        bad = next((key for key, x in values.items() if x.ndim != 1), None)
        if bad is not None:
            raise errors.AdamxError(
                f"{where}: `history` must have one number for each step, got "
                f"{errors.shown(history[bad])} for {bad!r}. {FORMS}"
            )
        lengths = {len(x) for x in values.values()}
        if len(lengths) > 1:
            raise errors.AdamxError(
                f"{where}: `history` must have as many steps of each key, got "
                f"{sorted(lengths)}. {FORMS}"
            )
    elif isinstance(history, Sequence) and all(isinstance(x, Mapping) for x in history):
        rows = jax.device_get([dict(row) for row in history])
        names = list(dict.fromkeys(str(key) for row in rows for key in row))
        values = {k: _wide([_number(row.get(k)) for row in rows]) for k in names}
    else:
        raise errors.type_error(
            where,
            "`history` must be a list of dicts of scalars, or a dict of arrays",
            errors.shown(history),
            FORMS,
        )
    if not values or not len(next(iter(values.values()))):
        raise errors.AdamxError(
            f"{where}: `history` must have a step, got none. {FORMS}"
        )
    return History(where, values)


def _wide(x: Any) -> np.ndarray:
    return np.asarray(x, np.float64)


def _number(x: Any) -> float:
    return np.nan if x is None else float(x)
