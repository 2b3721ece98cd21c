"""What a transformation does to each leaf: whether it decays, is clipped, is masked."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from ..engine.chain import Chain, External
from ..engine.hyperparams import is_zero
from ..engine.masks import Mask
from ..engine.paths import leaves_by_path
from ..engine.rule import Rule, Wrapper
from ..engine.transformation import Transformation
from ..engine.value import show
from ..parts.clipping import (
    AdaptiveClip,
    Clip,
    ClipByGlobalNorm,
    ClipByNorm,
    ClipByRms,
    ClipNormGrowth,
)
from ..parts.masked import Masked
from ..wrappers.around import Around
from ..wrappers.grouped import Groups, Rest

CLIPS = (AdaptiveClip, Clip, ClipByGlobalNorm, ClipByNorm, ClipByRms, ClipNormGrowth)


@dataclasses.dataclass(frozen=True)
class LeafRow:
    """Say what is done to one leaf: a row of the second table of a `MemoryPlan`.

    Attributes:
        leaf: its path.
        decays: the weight decay and the part that has it, or "no".
        clipped: the parts that clip it, or "no".
        left_out_by: the masks that do not select it, each with its part; or "".
        computed: of a fused transformation (`adamx.fused`), how the leaf is computed on
            a CPU: by a native loop, in blocks, or by XLA, and why.
        on_gpu: how it is computed on a GPU: by a kernel, or by XLA and why.
        on_tpu: the same on a TPU.
    """

    leaf: str
    decays: str
    clipped: str
    left_out_by: str
    computed: str = ""
    on_gpu: str = ""
    on_tpu: str = ""


def treatments(tx: Any, params: Any) -> tuple[tuple[LeafRow, ...], tuple[str, ...]]:
    """Return a row for each leaf, and what else there is to say of all of them."""
    named = leaves_by_path(params)
    unknown: list[Any] = []
    found = list(walk(tx, (), unknown))
    decays = [(rule, masks) for rule, masks in found if _decay(rule) is not None]
    clips = [(rule, masks) for rule, masks in found if isinstance(rule, CLIPS)]
    masked = [rule for rule, _ in found if isinstance(rule, Masked)]
    held = list(frozen(tx))
    known: dict[Mask, list[bool]] = {}

    def selects(masks: tuple, i: int) -> bool:
        for mask in masks:
            if mask not in known:
                known[mask] = mask.resolve(params)
        return all(known[mask][i] for mask in masks)

    rows = []
    for i, (path, leaf) in enumerate(named):
        if leaf is None:
            continue
        decaying = [
            f"{show(_decay(rule))} ({type(rule).__name__})"
            for rule, masks in decays
            if selects(masks + _own(rule), i)
        ]
        clipping = [type(r).__name__ for r, masks in clips if selects(masks, i)]
        out = [
            f"{name_of(rule)}: {show(rule.mask)}"
            for rule in masked
            if not selects((rule.mask,), i)
        ]
        out += ["groups: frozen" for mask in held if selects((mask,), i)]
        out += [
            f"weight decay: {show(rule.mask)}"
            for rule, masks in decays
            if selects(masks, i) and not selects(_own(rule), i)
        ]
        rows.append(
            LeafRow(
                path,
                ", ".join(decaying) or "no",
                ", ".join(clipping) or "no",
                "; ".join(dict.fromkeys(out)),
            )
        )
    notes = [
        f"What {name} does to each leaf is not known."
        for name in dict.fromkeys(map(name_of_unknown, unknown))
    ]
    notes += [
        f"The mask {show(mask)} selects no leaf."
        for mask, answers in known.items()
        if rows and not any(answers)
    ]
    return tuple(rows), tuple(notes)


def name_of(part: Any) -> str:
    """Return the name of a part, without those that only wrap it."""
    while type(part).__name__ in ("Stored", "Stacked", "Masked", "Fused"):
        part = part.part
    if type(part).__name__ == "RuleSequence":
        return ", ".join(map(name_of, part.rules))
    return type(part).__name__


def _own(rule: Any) -> tuple[Mask, ...]:
    """Return the mask of a rule that decides which leaves it decays."""
    mask = getattr(rule, "mask", None)
    return () if mask is None else (mask,)


def _decay(rule: Any) -> Any:
    """Return the weight decay of a rule, or None: no decay, 0, or a part of its own."""
    decay = None if isinstance(rule, Wrapper) else getattr(rule, "weight_decay", None)
    none = decay is None or isinstance(decay, Rule) or is_zero(decay)
    return None if none else decay


def frozen(tx: Any) -> Iterator[Mask]:
    """Yield the masks of what groups freeze."""
    if isinstance(tx, Groups):
        yield from tx.frozen
    elif isinstance(tx, Chain):
        for part in tx.parts:
            yield from frozen(part)
    elif isinstance(tx, External | Around):
        yield from frozen(tx.tx if isinstance(tx, External) else tx.inner)


def name_of_unknown(part: Any) -> str:
    """Return the name of a part that cannot be looked into."""
    return part.name if isinstance(part, External) else type(part).__name__


def is_foreign(part: Any) -> bool:
    """Return whether a part that cannot be looked into is not adamx's."""
    return not isinstance(part, Transformation) and getattr(part, "is_foreign", True)


def walk(tx: Any, masks: tuple, unknown: list[Any]) -> Iterator[tuple[Any, tuple]]:
    """Yield the rules of which `tx` is made, each with the masks around it.

    A rule is followed by those inside it, and each is yielded as often as it occurs.
    What cannot be looked into is added to `unknown`.
    """
    if isinstance(tx, Around):
        yield from walk(tx.inner, masks, unknown)
    elif isinstance(tx, Groups):
        if tx.clip is not None:
            live = (Rest(tx.frozen),) if tx.frozen else ()
            yield from walk(tx.clip, (*masks, *live), unknown)
        for mask, part in tx.groups:
            if part is not None:
                yield from walk(part, (*masks, mask), unknown)
    elif isinstance(tx, Chain):
        for part in tx.parts:
            yield from walk(part, masks, unknown)
    elif isinstance(tx, External) and isinstance(tx.tx, Transformation):
        yield from walk(tx.tx, masks, unknown)
    elif isinstance(tx, External):
        unknown.append(tx)
    elif isinstance(tx, Rule):
        yield tx, masks
        inside = (*masks, tx.mask) if isinstance(tx, Masked) else masks
        for part in tx._parts():
            yield from walk(part, inside, unknown)
    elif isinstance(tx, Transformation):
        fields = [getattr(tx, name) for name in tx._fields]
        inner = [x for f in fields for x in (f if type(f) is tuple else (f,))]
        found = [x for x in inner if isinstance(x, Transformation)]
        if not found:
            unknown.append(tx)
        for x in found:
            yield from walk(x, masks, unknown)
    else:
        unknown.append(tx)
