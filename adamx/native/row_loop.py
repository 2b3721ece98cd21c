"""The native loop of a leaf, run on some rows of it only, in place in the whole table.

The loop is that of the whole leaf. It is called for one row after another, with the
places that the row's elements have in the table; what is given for those rows alone, as
the gradient, is read as if it were a table. Memory is asked for a few rows ahead, since
rows that lie anywhere are in no cache.
"""

import functools
import hashlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from . import compiler, handler
from .kernel import Kernel
from .leaf_loop import LeafLoop, Made, register
from .operands import Operands

AHEAD = 8
"""How many rows ahead memory is asked for."""
_LINE, _MOST_LINES = 64, 32


class _Given(NamedTuple):
    """An array of a native loop: the bytes of a row, and whether it is a table."""

    kind: str
    number: int
    bytes: int
    is_table: bool


class RowLoop(NamedTuple):
    """A native loop of rows.

    Attributes:
        kernel: its code; the indices come before the arrays of the leaf's loop.
        units: the elements of a row.
        own: the outputs that have memory of their own, a row for each index.
    """

    kernel: Kernel
    units: int
    own: tuple[int, ...]


def why_not(loop: LeafLoop, tables: frozenset[int]) -> str:
    """Return why a leaf's loop cannot run on some rows only, or ""."""
    if loop.why_not:
        return loop.why_not
    found = row_loop(loop, tables)
    return found if isinstance(found, str) else ""


@functools.lru_cache(maxsize=1024)
def row_loop(loop: LeafLoop, tables: frozenset[int]) -> RowLoop | str:
    """Return the loop of rows of a leaf that has a loop, or why there is none.

    Args:
        loop: of the leaf, as large as the whole table.
        tables: its operands that are tables; the other arrays have a row for each
            index.
    """
    made, n = loop.made, loop.shape[0]
    if made.constant:
        return "it returns an array of constants"
    _, blocks, _ = made.sizes
    rows = made.units // blocks if made.kernel.unit > 1 else math.prod(loop.shape)
    if rows % n:
        return "its blocks go over the ends of rows"
    arrays = []
    for kind, number in made.kernel.arrays:
        avals = loop.closed.in_avals if kind == "in" else made.out_avals
        aval = avals[number] if number < len(avals) else None  # or a scalar before it
        shape = getattr(aval, "shape", ())
        if shape and shape[0] != n:
            return f"an array of shape {shape} has no rows of the table"
        size = 0
        if aval is not None and shape:
            size = math.prod(shape[1:]) * np.dtype(aval.dtype).itemsize
        is_table = kind == "in" and number in tables
        arrays.append(_Given(kind, number, size, is_table))
    own = tuple(a.number for a in arrays if a.kind == "out")
    units = made.units // n
    kernel = _kernel(made, n, units, arrays)
    return RowLoop(kernel, math.prod(loop.shape[1:]), own)


def called(
    loop: LeafLoop, tables: frozenset[int], given: list, indices: Any
) -> list[Any]:
    """Return the results of a leaf's loop on the rows at the indices.

    Those that are an operand in another state are the whole tables, the others have a
    row for each index, of zeros where the index is no row of the table. An index must
    not stand there twice.
    """
    made, found = loop.made, row_loop(loop, tables)
    assert isinstance(found, RowLoop)
    inputs = [*given, *made.scalars(given)]
    operands = Operands([indices])
    places = operands.add(found.kernel, inputs, made.aliases, 0)
    arrays = [("in", 0), *places]
    address = compiler.address_of(found.kernel)
    name, count = found.kernel.name, indices.shape[0]
    leaf = handler.Leaf(address, name, count, found.units, made.sizes, tuple(arrays))
    register(handler.name_of([leaf]), [leaf])
    types = [
        jax.ShapeDtypeStruct(
            (count, *a.shape[1:]) if i in found.own else a.shape, a.dtype
        )
        for i, a in enumerate(made.out_avals)
    ]
    call = jax.ffi.ffi_call(
        handler.name_of([leaf]), types, input_output_aliases=operands.aliases
    )
    done = dict(zip(made.computed, call(*operands.arrays), strict=True))
    done |= {out: given[i] for out, i in made.passed.items()}
    return [done[out] for out in range(len(loop.closed.out_avals))]


def _kernel(made: Made, n: int, units: int, arrays: Sequence[_Given]) -> Kernel:
    inner = made.kernel
    code = inner.code + _rows(inner.name, n, units, arrays)
    # where the table of a gradient's rows would begin there is another object
    code = code.replace("getelementptr inbounds", "getelementptr")
    name = f"adamx_rows_{hashlib.sha256(code.encode()).hexdigest()[:24]}"
    code = code.replace(f"@{inner.name}", f"@{name}.leaf").replace("@ROWS", f"@{name}")
    return Kernel(name, code, inner.arrays, 1)


def _rows(inner: str, n: int, units: int, arrays: Sequence[_Given]) -> str:
    """Return the function of rows from `first` to before `last`, in LLVM's language."""
    loads, shifts, zeros, ahead, given = [], [], [], [], []
    for k, a in enumerate(arrays):
        loads += [
            f"  %at{k} = getelementptr ptr, ptr %arrays, i64 {k + 1}",
            f"  %a{k} = load ptr, ptr %at{k}",
        ]
        if a.is_table or not a.bytes:
            given.append(f"ptr %a{k}")
        else:
            given.append(f"ptr %s{k}")
            shifts += [
                f"  %d{k} = mul i64 %behind, {a.bytes}",
                f"  %s{k} = getelementptr i8, ptr %a{k}, i64 %d{k}",
            ]
        if a.kind == "out":
            zeros += [
                f"  %z{k} = mul i64 %r, {a.bytes}",
                f"  %o{k} = getelementptr i8, ptr %a{k}, i64 %z{k}",
                f"  call void @llvm.memset.p0.i64(ptr %o{k}, i8 0, i64 {a.bytes}, "
                f"i1 false)",
            ]
        if a.is_table:
            ahead.append(f"  %p{k} = mul i64 %later, {a.bytes}")
            lines = min(-(-a.bytes // _LINE), _MOST_LINES)
            for line in range(lines):
                ahead += [
                    f"  %q{k}.{line} = add i64 %p{k}, {_LINE * line}",
                    f"  %l{k}.{line} = getelementptr i8, ptr %a{k}, i64 %q{k}.{line}",
                    f"  call void @llvm.prefetch.p0(ptr %l{k}.{line}, i32 1, i32 3, "
                    f"i32 1)",
                ]
    sizes = ("length", "blocks", "pairs")
    for i, size in enumerate(sizes):
        loads += [
            f"  %at.{size} = getelementptr i64, ptr %sizes, i64 {i}",
            f"  %{size} = load i64, ptr %at.{size}",
        ]
    given += [f"i64 %{size}" for size in sizes]
    return _ROWS.format(
        loads="\n".join(loads),
        shifts="\n".join(shifts),
        zeros="\n".join(zeros),
        ahead="\n".join(ahead),
        given=", ".join(given),
        inner=inner,
        n=n,
        units=units,
        distance=AHEAD,
    )


_ROWS = """
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
define void @ROWS(ptr %arrays, ptr %sizes, i64 %first, i64 %last) #0 {{
entry:
  %indices = load ptr, ptr %arrays
{loads}
  %end = sub i64 %last, 1
  %some = icmp slt i64 %first, %last
  br i1 %some, label %row, label %done
row:
  %r = phi i64 [ %first, %entry ], [ %r.next, %row.end ]
  %soon = add i64 %r, {distance}
  %inside = icmp slt i64 %soon, %last
  %ask = select i1 %inside, i64 %soon, i64 %end
  %later.at = getelementptr i32, ptr %indices, i64 %ask
  %later.32 = load i32, ptr %later.at
  %later.known = icmp ult i32 %later.32, {n}
  %later.some = select i1 %later.known, i32 %later.32, i32 0
  %later = zext i32 %later.some to i64
{ahead}
  %index.at = getelementptr i32, ptr %indices, i64 %r
  %index.32 = load i32, ptr %index.at
  %known = icmp ult i32 %index.32, {n}
  br i1 %known, label %run, label %padding
padding:
{zeros}
  br label %row.end
run:
  %index = zext i32 %index.32 to i64
  %from = mul i64 %index, {units}
  %to = add i64 %from, {units}
  %behind = sub i64 %r, %index
{shifts}
  call void @{inner}.body({given}, i64 %from, i64 %to)
  br label %row.end
row.end:
  %r.next = add i64 %r, 1
  %more = icmp slt i64 %r.next, %last
  br i1 %more, label %row, label %done
done:
  ret void
}}
"""
