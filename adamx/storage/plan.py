"""The memory plan: the bytes of an optimizer's state, counted before allocation."""

import dataclasses
import functools
import importlib
import math
from typing import Any

import jax
import jax.numpy as jnp

from .. import html
from ..compiled.apart import compiled_apart
from ..compiled.figures import CompiledStep
from ..compiled.targets import target_of
from ..engine.chain import Chain, External
from ..engine.paths import flatten, paths
from ..engine.rule import Rule
from ..engine.slot_trees import column_of
from ..engine.state import Slot, State, is_absent
from ..engine.transformation import Transformation
from ..wrappers.around import Around
from ..wrappers.fused import is_fused
from ..wrappers.grouped import Groups
from ..wrappers.step import step
from .abstract import begun, is_seen_under_jit
from .laid_out import laid_out, mesh_of
from .placed import placed, undivided
from .treatment import LeafRow, name_of, treatments

_BEGUN = (
    "What is kept as the mesh divides it is begun so by tx.init outside jit; under jit "
    "the sharding on Auto axes is not seen."
)


@dataclasses.dataclass(frozen=True)
class MemoryRow:
    """Describe one slot of one leaf: a row of a `MemoryPlan`.

    Attributes:
        leaf: its path.
        shape: the shape of the parameter.
        part: the part of the chain that keeps the slot.
        slot: the slot.
        kept: the codec or the dtype, and why if a codec leaves a leaf in float32.
        bytes: the bytes of all arrays that are kept.
    """

    leaf: str
    shape: tuple[int, ...]
    part: str
    slot: str
    kept: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class MemoryPlan:
    """List the slots of every leaf and their bytes; prints as a table.

    Attributes:
        rows: one for each slot of each leaf.
        parameters: the number of parameters.
        shared: the bytes that do not belong to a leaf: counts and other scalars.
        leaves: one row for each leaf: whether it decays, is clipped, is masked. They
            are printed if the transformation decays, clips or masks anything, and
            how they are computed if it is fused.
        notes: which masks select no leaf, which parts cannot be looked into, and
            where `zero1` and `offload` keep the state.
        step: what one step is compiled to, if a target was named.
    """

    rows: tuple[MemoryRow, ...]
    parameters: int
    shared: int
    leaves: tuple[LeafRow, ...] = ()
    notes: tuple[str, ...] = ()
    step: CompiledStep | None = None

    @property
    def bytes(self) -> int:
        """The bytes of the whole state."""
        return self.shared + sum(row.bytes for row in self.rows)

    @property
    def bytes_per_parameter(self) -> float:
        return self.bytes / max(self.parameters, 1)

    def _cells(self) -> list[tuple[str, ...]]:
        """Return the table of the slots, its head first."""
        rows = [
            (r.leaf, str(r.shape), r.part, r.slot, r.kept, f"{r.bytes:,}")
            for r in self.rows
        ]
        return [("leaf", "shape", "part", "slot", "kept as", "bytes"), *rows]

    def _total(self) -> str:
        return (
            f"{self.bytes:,} bytes for {self.parameters:,} parameters: "
            f"{self.bytes_per_parameter:.4g} a parameter, {self.shared:,} shared."
        )

    def _of_leaves(self) -> list[list[tuple[str, ...]]]:
        """Return the tables of how leaves are treated and computed, if any."""
        tables = []
        if any(
            x.decays != "no" or x.clipped != "no" or x.left_out_by for x in self.leaves
        ):
            treated = [("leaf", "decays", "clipped", "left out by a mask")]
            treated += [
                (x.leaf, x.decays, x.clipped, x.left_out_by) for x in self.leaves
            ]
            tables.append(treated)
        if any(x.computed for x in self.leaves):
            ways = [("leaf", "computed on a CPU", "on a GPU", "on a TPU")]
            ways += [(x.leaf, x.computed, x.on_gpu, x.on_tpu) for x in self.leaves]
            tables.append(ways)
        return tables

    def __str__(self) -> str:
        text = [*columns(self._cells(), right=5), self._total(), *self.notes]
        text += [] if self.step is None else [str(self.step)]
        for cells in self._of_leaves():
            text += ["", *columns(cells)]
        return "\n".join(text)

    def _repr_html_(self) -> str:
        head, *rows = self._cells()
        most = max((row.bytes for row in self.rows), default=0)
        made = html.table(
            head,
            rows,
            right=(5,),
            code=(0, 3),
            bars=[row.bytes / max(most, 1) for row in self.rows],
            foot=self._total(),
        )
        made += "".join(map(html.paragraph, self.notes))
        made += "" if self.step is None else html.preformatted(str(self.step))
        for head, *rows in self._of_leaves():
            made += html.table(head, rows, code=(0,))
        return f"<div>{made}</div>"


def columns(lines: list[tuple[str, ...]], right: int | None = None) -> list[str]:
    """Align the cells of each column; those of the column `right` at the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(w) if i == right else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _bytes(tree: Any) -> int:
    leaves = jax.tree.leaves(tree)
    return sum(math.prod(x.shape) * jnp.dtype(x.dtype).itemsize for x in leaves)


def _parts(tx: Any) -> list[Any]:
    parts = tx.parts if isinstance(tx, Chain) else (tx,)
    return [part for part in parts if isinstance(part, Rule)]


def _trees(slot: Slot, kept: Any) -> list[Any]:
    parts = () if slot.codec is None else slot.codec.parts
    return [kept[part] for part in parts] if len(parts) > 1 else [kept]


def _rows(tx: Any, state: Any, params: Any) -> list[MemoryRow]:
    """Return the rows of one transformation and its state."""
    if isinstance(tx, Around):
        rows = []
        for name, slot in tx.own_slots().items():
            kept = getattr(state, name)
            rows += _of_slot(type(tx).__name__, name, slot, kept, params)
        return rows + _rows(tx.inner, tx.state_inside(state), params)
    if not isinstance(state, State):
        return _foreign(repr(tx), state)
    if isinstance(tx, Groups):
        apart = tx.apart(state, params)
        return [row for each in apart for row in _rows(*each)]
    rows = []
    for part in _parts(tx):
        for name, slot in part.slots().items():
            if not slot.shared:
                rows += _of_slot(name_of(part), name, slot, state.slots[name], params)
    for part in tx.parts if isinstance(tx, Chain) else ():
        if isinstance(part, External):
            inner = state.inner[part.name]
            known = isinstance(part.tx, Transformation)
            rows += (
                _rows(part.tx, inner, params) if known else _foreign(part.name, inner)
            )
    return rows


def _of_slot(
    part: str, name: str, slot: Slot, kept: Any, params: Any
) -> list[MemoryRow]:
    leaves = flatten(params)[0]
    columns = [column_of(tree, params) for tree in _trees(slot, kept)]
    rows = []
    for path, p, *arrays in zip(paths(params), leaves, *columns, strict=True):
        if p is None:
            continue
        size = _bytes(arrays)
        if all(map(is_absent, arrays)):
            how = "nothing"
        elif slot.codec is not None and slot.shape_of is None:
            parts = dict(zip(slot.codec.parts, arrays, strict=True))
            how = _how(slot.codec, slot.codec.as_kept(parts, p.shape), p)
        else:
            how = repr(slot.codec) if slot.codec else str(arrays[0].dtype)
        rows.append(MemoryRow(path, tuple(p.shape), part, name, how, size))
    return rows


def _how(codec: Any, here: Any, p: Any) -> str:
    """Say how a codec keeps a leaf, which it keeps as `here` does."""
    fitted = "" if here == codec else ", as the mesh divides it"
    return here.note(p.shape) + fitted + undivided(here, p)


def _foreign(name: str, state: Any) -> list[MemoryRow]:
    """Return the rows of an external transformation's state, leaf by leaf."""
    found = jax.tree_util.tree_leaves_with_path(state)
    return [
        MemoryRow(
            jax.tree_util.keystr(keys),
            tuple(x.shape),
            name,
            "",
            str(x.dtype),
            _bytes(x),
        )
        for keys, x in found
        if x.shape
    ]


def _with_ways(row: LeafRow, cpu: str = "", gpu: str = "", tpu: str = "") -> LeafRow:
    return dataclasses.replace(row, computed=cpu, on_gpu=gpu, on_tpu=tpu)


def _stepped(tx: Any, params: Any, state: Any, grads: Any) -> Any:
    return step(tx, params, grads, state)


def memory_plan(tx: Any, params: Any, *, target: str | None = None) -> MemoryPlan:
    """List what `tx` keeps for each leaf of `params`, with the number of bytes.

        print(memory_plan(store(adamw(1e-3), nu=Blockwise(bits=8)), params))

    Nothing is allocated: `params` may be arrays or `jax.ShapeDtypeStruct`s. The table
    says which leaves a codec keeps in float32 because they are small. A second
    table says which weight decay each leaf gets, what clips it, and which masks leave
    it out; of a fused one (`adamx.fused`), a third which leaf a native
    loop or a kernel computes, and why the others are left to XLA.

    Args:
        tx: a transformation; for one that is not adamx's, only shapes and bytes are
            known.
        params: the parameters.
        target: a machine to compile one step for, without it: "cpu", "h100" or
            "tpu-v5e". The plan then tells its kernels, the bytes that they move beside
            the fewest possible, and its temporaries. It takes as long as compiling
            that step; the last two need `pip install 'adamx[compiled]'`.

    Raises:
        ValueError: a target that is not known, or whose compiler is not installed.
    """
    machine = None if target is None else target_of("memory_plan", target)
    state, fitted = begun(tx, params)
    rows = tuple(_rows(tx, state, params))
    parameters = sum(math.prod(p.shape) for p in jax.tree.leaves(params))
    shared = _bytes(state) - sum(row.bytes for row in rows)
    leaves, notes = treatments(tx, params)
    program = None
    if machine is not None:
        in_one = functools.partial(_stepped, tx) if is_fused(tx) else None
        program = compiled_apart("memory_plan", tx, params, machine, in_one)
    if is_fused(tx):
        # imported when it is needed, as it imports what makes native loops
        fused_plan = importlib.import_module("adamx.storage.fused_plan")
        ways = fused_plan.ways_computed(tx, state, params)
        leaves = tuple(_with_ways(x, *ways.get(x.leaf, ())) for x in leaves)
    notes += tuple(placed(tx, params))
    if fitted and not is_seen_under_jit(laid_out(params, mesh_of(tx)).mesh):
        notes += (_BEGUN,)
    return MemoryPlan(rows, parameters, shared, leaves, notes, program)
