"""`adamx.in_shard_map`: an optimizer that knows how `shard_map` splits each leaf."""

from typing import Any

import jax
from jax.sharding import PartitionSpec

from .. import errors
from ..engine.chain import Chain, External
from ..engine.masks import Mask, spread
from ..engine.paths import leaves_by_path
from ..engine.rule import LinkWise, Rule
from ..numerics.splits import Split
from .around import Around, map_inner
from .grouped import Groups
from .tunable import Tunable


class SpecsOf(Mask):
    """Give each leaf the mesh axes that split its axes; a mask that selects all leaves.

    The specs are a tree of `PartitionSpec` like the parameters, or a prefix of one.
    """

    specs: tuple[Any, ...]
    structure: Any

    def __repr__(self) -> str:
        return repr(self.structure.unflatten(self.specs))

    def resolve(self, tree: Any) -> list[bool]:
        return [split is not None for split in self.labels(tree)]

    def labels(self, tree: Any) -> list[Any]:
        given = self.structure.unflatten(self.specs)
        each = spread("in_shard_map: the specs", given, tree, _is_spec)
        pairs = zip(leaves_by_path(tree), each, strict=True)
        return [
            None if leaf is None else _split_by(spec, path, len(leaf.shape))
            for (path, leaf), spec in pairs
        ]


def _is_spec(x: Any) -> bool:
    return x is None or isinstance(x, PartitionSpec)


def _split_by(spec: Any, path: str, ndim: int) -> Split:
    """Return the split of a leaf of so many axes by its spec."""
    entries = () if spec is None else tuple(spec)
    if len(entries) > ndim:
        raise errors.AdamxError(
            f"in_shard_map: the spec of `{path}` must have an entry for each axis at "
            f"most, got {spec} for a leaf of {ndim} axes. Pass the specs that "
            f"jax.shard_map has for the parameters."
        )
    dims: list[tuple[str, ...]] = []
    for entry in (*entries, *[None] * (ndim - len(entries))):
        names = entry if isinstance(entry, tuple) else (entry,)
        dims.append(tuple(name for name in names if name is not None))
    return Split.by_dims(dims)


class InShardMap(LinkWise):
    """Tell `part` over which mesh axes each leaf is split: what `in_shard_map` returns.

    Args:
        part: a rule.
        specs: how `shard_map` splits the parameters.
    """

    specs: Any = None

    takes_rows = False

    def __repr__(self) -> str:
        return f"in_shard_map({self.part!r}, {self.specs!r})"


def in_shard_map(tx: Any, specs: Any) -> Any:
    """Return the same optimizer for leaves that `jax.shard_map` splits by these specs.

        in_shard_map(muon(0.02), specs)

    Inside `shard_map` a device has a piece of each leaf. With the specs, norms and
    sums are those of the whole model, a leaf that all devices have is counted once,
    matrices are put together from pieces along any axes, and what `store` keeps is what
    it keeps of the whole leaf: its means are those of all pieces, `min_size` counts the
    whole, and the random bits of rounding follow from the place in the whole. It makes
    `axis_name` of the rules needless; that is enough where `shard_map` checks what
    varies, and matrices are split along their rows.

    The state has the structure of that of `tx`. `init` and `update` must be called
    inside `shard_map`; to make the state of the whole parameters outside, use `tx`.

    Args:
        tx: an adamx transformation of rules only, or `groups` of such. Wrappers of
            whole transformations go around: `accumulate(in_shard_map(tx, specs), 4)`.
        specs: a tree of `PartitionSpec` like the parameters, or a prefix of one: those
            that `shard_map` has for the parameters. None is a leaf that is not split.

    Raises:
        TypeError: `tx` is no adamx transformation, or has another one of Optax inside,
            which would take a piece for the whole; `specs` are no PartitionSpecs.
        ValueError: at `init` or `update`: specs of another structure, an axis that the
            mesh around it has not, a leaf split over an axis that its spec does not
            name.
    """
    return _placed(tx, _as_specs(specs))


def _as_specs(specs: Any) -> SpecsOf:
    leaves, structure = jax.tree.flatten(specs, is_leaf=_is_spec)
    for leaf in leaves:
        free = isinstance(leaf, PartitionSpec) and PartitionSpec.UNCONSTRAINED in leaf
        if not _is_spec(leaf) or free:
            raise errors.type_error(
                "in_shard_map",
                "`specs` must be a tree of PartitionSpec that name mesh axes",
                errors.shown(leaf),
                "Pass the specs that jax.shard_map has for the parameters, such as "
                'PartitionSpec("data").',
            )
    return SpecsOf(tuple(leaves), structure)


def _placed(tx: Any, specs: SpecsOf) -> Any:
    if isinstance(tx, Tunable):
        return Tunable(_placed(tx.inner, specs), tx.names)
    if isinstance(tx, Rule):
        return InShardMap(tx, specs=specs)
    if isinstance(tx, Groups):
        return tx.map(lambda one: _placed(one, specs))
    if isinstance(tx, Around):
        raise errors.type_error(
            "in_shard_map",
            "`tx` must be rules, a chain or groups of them, or one of these in tunable",
            errors.shown(tx),
            tx.inside_shard_map(),
        )
    if not isinstance(tx, Chain):
        raise errors.type_error(
            "in_shard_map",
            "`tx` must be an adamx transformation",
            errors.shown(tx),
            "Give it the adamx transformation inside a wrapper before that is wrapped.",
        )
    external = (part for part in tx.parts if isinstance(part, External))
    foreign = next((part for part in external if part.is_foreign), None)
    if foreign is not None:
        raise errors.type_error(
            "in_shard_map",
            "every part of a chain must be a rule",
            repr(foreign),
            "It would take a piece of a leaf for the whole. Use the part of adamx of "
            "that name, or optax.chain if it acts on each element by itself.",
        )
    return map_inner(tx, lambda part: _placed(part, specs))
