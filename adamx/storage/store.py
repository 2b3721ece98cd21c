"""`adamx.store`: an optimizer whose slots are kept by codecs."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from .. import errors
from ..engine.chain import RuleSequence
from ..engine.rule import Rule, Wrapper
from ..engine.state import Slot
from ..engine.transformation import Transformation
from ..wrappers.around import inner_of, map_inner
from .codec import Codec


class Stored(Wrapper):
    """Keep some slots of `part` by codecs.

    The part is given and returns arrays in the dtype of the arithmetic; the update is
    computed before the new slots are encoded.

    Args:
        part: a rule.
        codecs: pairs of a slot's name and its codec.
        seed: the seed of stochastic rounding.
    """

    codecs: tuple[tuple[str, Any], ...] = ()
    seed: Any = 0

    def __repr__(self) -> str:
        return _expression(self.part, dict(self.codecs), self.seed)

    def _links(self) -> Iterator[Rule]:
        links = list(self.part._links())
        if len(links) == 1:
            yield self
            return
        for link in links:
            yield _stored(link, dict(self.codecs), self.seed)

    def slots(self) -> dict[str, Slot]:
        kept = self.part.slots()
        for name, codec in self.codecs:
            codec = codec.bind(name, kept[name].signed)
            kept[name] = dataclasses.replace(kept[name], codec=codec, seed=self.seed)
        return kept


def _expression(tx: Any, codecs: dict[str, Any], seed: Any) -> str:
    given = [repr(tx), *(f"{name}={codec!r}" for name, codec in codecs.items())]
    if not (isinstance(seed, int) and seed == 0):
        given.append(f"seed={seed!r}")
    return f"store({', '.join(given)})"


def store(tx: Any, *, seed: Any = 0, **codecs: Any) -> Any:
    """Return the same optimizer with the named slots kept by codecs.

        store(adamw(1e-3), mu=Cast(jnp.bfloat16), nu=Blockwise(bits=8))

    The update of a step is computed from the new moments in float32, before they are
    stored. For a slot stored twice the outer `store` applies.
    `adamx.memory_plan(tx, params)` lists what is kept for every leaf.

    Args:
        tx: an adamx transformation, in any nesting of chains, masks, groups,
            `tunable` and the like.
        seed: the integer from which stochastic rounding follows, with the step, the
            leaf's path and the element's index: there is no other state, and a
            restored run rounds in the same way. Under `jit` so does a run on any
            number of devices; inside `shard_map` the index is that in the shard.
        **codecs: a codec of `adamx.storage`, or your own, for each slot.

    Raises:
        ValueError: no slot of that name, or one that the codec cannot hold.
        TypeError: `tx` is no adamx transformation, or a codec is none.
    """
    if not isinstance(tx, Transformation):
        raise errors.type_error(
            "store",
            "`tx` must be an adamx transformation",
            repr(tx),
            "Store the inner transformation of a foreign wrapper before it is wrapped.",
        )
    known = _slots(tx)
    if not codecs:
        raise errors.AdamxError(
            f"store: at least one slot must be named, got none. "
            f"{errors.suggest('', known)}"
        )
    for name, codec in codecs.items():
        _check(name, codec, known, tx)
    return _stored(tx, codecs, seed)


def _check(name: str, codec: Any, known: dict[str, Slot], tx: Any) -> None:
    if name not in known:
        raise errors.AdamxError(
            f"store: every name must be a slot of {tx!r}, got {name!r}. "
            f"{errors.suggest(name, known)}"
        )
    if not isinstance(codec, Codec):
        raise errors.type_error(
            "store",
            f"`{name}` must be kept by a codec",
            repr(codec),
            "Pass for example storage.Blockwise(bits=8).",
        )
    slot = known[name]
    if slot.shared:
        raise errors.AdamxError(
            f"store: a stored slot must be one array per leaf, got {name!r}, which is "
            f"one number for the whole tree. Leave it as it is."
        )
    if slot.dtype is not None:
        raise errors.AdamxError(
            f"store: a stored slot must hold real numbers, got {name!r}, which holds "
            f"{slot.dtype.name} exactly. Leave it as it is."
        )
    bound = codec.bind(name, slot.signed)
    if slot.single_array_because and bound.parts != ("",):
        raise errors.AdamxError(
            f"store: {name!r} must be kept by a codec of one array, got {codec!r}. "
            f"{slot.single_array_because} Pass Cast(jnp.bfloat16, 'stochastic')."
        )


def _slots(tx: Any) -> dict[str, Slot]:
    if isinstance(tx, Rule):
        return tx.slots()
    slots: dict[str, Slot] = {}
    for inner in inner_of(tx):
        slots |= _slots(inner)
    return slots


def _stored(tx: Any, codecs: dict[str, Any], seed: Any) -> Any:
    here = {n: c for n, c in codecs.items() if n in _slots(tx)}
    if not here:
        return tx
    if isinstance(tx, RuleSequence):
        return RuleSequence(tuple(_stored(rule, here, seed) for rule in tx.rules))
    if isinstance(tx, Stored) and tx.seed is seed:
        return Stored(tx.part, tuple((dict(tx.codecs) | here).items()), seed)
    if isinstance(tx, Rule):
        return Stored(tx, tuple(here.items()), seed)
    return map_inner(tx, lambda one: _stored(one, here, seed))
