"""What XLA calls: a group of native loops, shared out over XLA's own threads.

The calling convention is XLA's C interface for foreign functions (xla/ffi/api/c_api.h,
`jax.ffi.include_dir()`), version 0: the offsets below are those of its structures. The
caller and as many tasks as there are threads take one part of the work after another;
the caller returns when all parts are done. It waits for parts in work only, never for
a task to start, so that it cannot wait for itself.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

# elements that one thread takes at a time, and fewer of which are left to one thread
_PART, _ALONE = 1 << 15, 1 << 14


class Leaf(NamedTuple):
    """One native loop of a group.

    Attributes:
        address: of the machine code.
        name: of the native loop, by its code.
        units: how many units there are, of `unit` elements each.
        unit: see `Kernel`.
        sizes: the length of a row, the blocks and the pairs of a row.
        arrays: the operands and the results of the call that it is given: ("in", i).
    """

    address: int
    name: str
    units: int
    unit: int
    sizes: tuple[int, int, int]
    arrays: tuple[tuple[str, int], ...]


def name_of(leaves: Sequence[Leaf]) -> str:
    """Return the name under which XLA knows a group, by what it computes."""
    known = [leaf._replace(address=0) for leaf in leaves]
    return "adamx_fused_" + hashlib.sha256(repr(known).encode()).hexdigest()[:24]


def code_of(name: str, leaves: Sequence[Leaf]) -> str:
    """Return the handler of a group, in LLVM's language."""
    lines, rows, arrays = [], [], 0
    for i, leaf in enumerate(leaves):
        grain = max(_PART // leaf.unit, 1)
        parts = -(-leaf.units // grain)
        numbers = [n if kind == "in" else ~n for kind, n in leaf.arrays]
        lines += [
            f"@sizes{i} = internal constant [3 x i64] [{_list('i64', leaf.sizes)}]",
            f"@arrays{i} = internal constant [{len(numbers)} x i32] "
            f"[{_list('i32', numbers)}]",
        ]
        rows.append(
            f"%leaf {{ i64 {leaf.address}, i64 {leaf.units}, i64 {grain}, i64 {parts},"
            f" i64 {len(numbers)}, ptr @sizes{i}, ptr @arrays{i}, i64 {8 * arrays} }}"
        )
        arrays += len(numbers)
    parts = sum(-(-x.units // max(_PART // x.unit, 1)) for x in leaves)
    elements = sum(x.units * x.unit for x in leaves)
    table = f"[{len(leaves)} x %leaf]"
    lines.append(f"@table = internal constant {table} [{', '.join(rows)}]")
    entry = _ENTRY.format(
        name=name,
        leaves=len(leaves),
        parts=parts,
        helpers=min(parts - 1, elements // _ALONE),
        bytes=64 + 8 * arrays,
    )
    return "\n".join([_TYPES, *lines, _WORK, entry])


def _list(kind: str, numbers: Sequence[int]) -> str:
    return ", ".join(f"{kind} {n}" for n in numbers)


_TYPES = """
%leaf = type { i64, i64, i64, i64, i64, ptr, ptr, i64 }
declare ptr @malloc(i64)
declare void @free(ptr)
declare i32 @sched_yield()
declare i64 @llvm.smin.i64(i64, i64)
"""

# the job: next part, parts done, holders of the memory, number of parts; arrays from 64
_WORK = """
define internal void @work(ptr %job) {
entry:
  %done.at = getelementptr i8, ptr %job, i64 8
  %parts.at = getelementptr i8, ptr %job, i64 24
  %parts = load i64, ptr %parts.at
  br label %take
take:
  %part = atomicrmw add ptr %job, i64 1 seq_cst
  %over = icmp sge i64 %part, %parts
  br i1 %over, label %end, label %find
find:
  %l = phi i64 [ 0, %take ], [ %l.next, %skip ]
  %rest = phi i64 [ %part, %take ], [ %rest.next, %skip ]
  %leaf = getelementptr %leaf, ptr @table, i64 %l
  %of.at = getelementptr %leaf, ptr %leaf, i64 0, i32 3
  %of = load i64, ptr %of.at
  %inside = icmp slt i64 %rest, %of
  br i1 %inside, label %run, label %skip
skip:
  %l.next = add i64 %l, 1
  %rest.next = sub i64 %rest, %of
  br label %find
run:
  %units.at = getelementptr %leaf, ptr %leaf, i64 0, i32 1
  %grain.at = getelementptr %leaf, ptr %leaf, i64 0, i32 2
  %sizes.at = getelementptr %leaf, ptr %leaf, i64 0, i32 5
  %shift.at = getelementptr %leaf, ptr %leaf, i64 0, i32 7
  %address = load i64, ptr %leaf
  %units = load i64, ptr %units.at
  %grain = load i64, ptr %grain.at
  %sizes = load ptr, ptr %sizes.at
  %shift = load i64, ptr %shift.at
  %first = mul i64 %rest, %grain
  %end.of = add i64 %first, %grain
  %last = call i64 @llvm.smin.i64(i64 %end.of, i64 %units)
  %arrays = getelementptr i8, ptr %job, i64 64
  %own = getelementptr i8, ptr %arrays, i64 %shift
  %function = inttoptr i64 %address to ptr
  call void %function(ptr %own, ptr %sizes, i64 %first, i64 %last)
  %before = atomicrmw add ptr %done.at, i64 1 seq_cst
  br label %take
end:
  ret void
}

define internal void @leave(ptr %job) {
  %holders.at = getelementptr i8, ptr %job, i64 16
  %holders = atomicrmw sub ptr %holders.at, i64 1 seq_cst
  %last = icmp eq i64 %holders, 1
  br i1 %last, label %free, label %end
free:
  call void @free(ptr %job)
  br label %end
end:
  ret void
}

define internal void @task(ptr %job) {
  call void @work(ptr %job)
  call void @leave(ptr %job)
  ret void
}
"""

# the frame: its extensions at 8, the interface 16, the context 24, the stage 32, the
# operands 72, the results 112; of a buffer the data is at 24; of the interface
# Error_Destroy is at 64, ThreadPool_Schedule 136, ThreadPool_NumThreads 144
_ENTRY = """
define ptr @{name}(ptr %frame) {{
entry:
  %extension.at = getelementptr i8, ptr %frame, i64 8
  %extension = load ptr, ptr %extension.at
  %none = icmp eq ptr %extension, null
  br i1 %none, label %called, label %asked
asked:
  %kind.at = getelementptr i8, ptr %extension, i64 8
  %kind = load i32, ptr %kind.at
  %is.metadata = icmp eq i32 %kind, 1
  br i1 %is.metadata, label %describe, label %called
describe:
  %metadata.at = getelementptr i8, ptr %extension, i64 24
  %meta = load ptr, ptr %metadata.at
  %major.at = getelementptr i8, ptr %meta, i64 24
  %minor.at = getelementptr i8, ptr %meta, i64 28
  %traits.at = getelementptr i8, ptr %meta, i64 32
  store i32 0, ptr %major.at
  store i32 MINOR, ptr %minor.at
  store i32 0, ptr %traits.at
  ret ptr null
called:
  %stage.at = getelementptr i8, ptr %frame, i64 32
  %stage = load i32, ptr %stage.at
  %is.run = icmp eq i32 %stage, 3
  br i1 %is.run, label %begin, label %nothing
nothing:
  ret ptr null
begin:
  %job = call ptr @malloc(i64 {bytes})
  %next.at = getelementptr i8, ptr %job, i64 0
  %done.at = getelementptr i8, ptr %job, i64 8
  %holders.at = getelementptr i8, ptr %job, i64 16
  %parts.at = getelementptr i8, ptr %job, i64 24
  store i64 0, ptr %next.at
  store i64 0, ptr %done.at
  store i64 1, ptr %holders.at
  store i64 {parts}, ptr %parts.at
  %args.at = getelementptr i8, ptr %frame, i64 72
  %rets.at = getelementptr i8, ptr %frame, i64 112
  %args = load ptr, ptr %args.at
  %rets = load ptr, ptr %rets.at
  %arrays = getelementptr i8, ptr %job, i64 64
  br label %leaf
leaf:
  %l = phi i64 [ 0, %begin ], [ %l.next, %leaf.end ]
  %k = phi i64 [ 0, %begin ], [ %k.next, %leaf.end ]
  %row = getelementptr %leaf, ptr @table, i64 %l
  %count.at = getelementptr %leaf, ptr %row, i64 0, i32 4
  %indices.at = getelementptr %leaf, ptr %row, i64 0, i32 6
  %count = load i64, ptr %count.at
  %indices = load ptr, ptr %indices.at
  br label %array
array:
  %i = phi i64 [ 0, %leaf ], [ %i.next, %array ]
  %index.at = getelementptr i32, ptr %indices, i64 %i
  %index = load i32, ptr %index.at
  %is.result = icmp slt i32 %index, 0
  %flipped = xor i32 %index, -1
  %place = select i1 %is.result, i32 %flipped, i32 %index
  %list = select i1 %is.result, ptr %rets, ptr %args
  %wide = zext i32 %place to i64
  %buffer.at = getelementptr ptr, ptr %list, i64 %wide
  %buffer = load ptr, ptr %buffer.at
  %data.at = getelementptr i8, ptr %buffer, i64 24
  %data = load ptr, ptr %data.at
  %k.here = add i64 %k, %i
  %slot = getelementptr ptr, ptr %arrays, i64 %k.here
  store ptr %data, ptr %slot
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %count
  br i1 %more, label %array, label %leaf.end
leaf.end:
  %k.next = add i64 %k, %count
  %l.next = add i64 %l, 1
  %leaves = icmp slt i64 %l.next, {leaves}
  br i1 %leaves, label %leaf, label %share
share:
  %api.at = getelementptr i8, ptr %frame, i64 16
  %context.at = getelementptr i8, ptr %frame, i64 24
  %api = load ptr, ptr %api.at
  %context = load ptr, ptr %context.at
  %destroy.at = getelementptr i8, ptr %api, i64 64
  %schedule.at = getelementptr i8, ptr %api, i64 136
  %threads.at = getelementptr i8, ptr %api, i64 144
  %destroy = load ptr, ptr %destroy.at
  %schedule = load ptr, ptr %schedule.at
  %threads.of = load ptr, ptr %threads.at
  %threads = alloca i64
  %asked.of = alloca [4 x i64]
  %given = alloca [5 x i64]
  %broken = alloca [3 x i64]
  store i64 1, ptr %threads
  %a1 = getelementptr i64, ptr %asked.of, i64 1
  %a2 = getelementptr i64, ptr %asked.of, i64 2
  %a3 = getelementptr i64, ptr %asked.of, i64 3
  store i64 32, ptr %asked.of
  store i64 0, ptr %a1
  store ptr %context, ptr %a2
  store ptr %threads, ptr %a3
  %g1 = getelementptr i64, ptr %given, i64 1
  %g2 = getelementptr i64, ptr %given, i64 2
  %g3 = getelementptr i64, ptr %given, i64 3
  %g4 = getelementptr i64, ptr %given, i64 4
  store i64 40, ptr %given
  store i64 0, ptr %g1
  store ptr %context, ptr %g2
  store ptr @task, ptr %g3
  store ptr %job, ptr %g4
  %e1 = getelementptr i64, ptr %broken, i64 1
  %e2 = getelementptr i64, ptr %broken, i64 2
  store i64 24, ptr %broken
  store i64 0, ptr %e1
  %error.threads = call ptr %threads.of(ptr %asked.of)
  %fine.threads = icmp eq ptr %error.threads, null
  br i1 %fine.threads, label %ask, label %no.threads
no.threads:
  store ptr %error.threads, ptr %e2
  call void %destroy(ptr %broken)
  store i64 1, ptr %threads
  br label %ask
ask:
  %count.threads = load i64, ptr %threads
  %others = sub i64 %count.threads, 1
  %helpers = call i64 @llvm.smin.i64(i64 %others, i64 {helpers})
  br label %help
help:
  %h = phi i64 [ 0, %ask ], [ %h.next, %helped ], [ %helpers, %no.help ]
  %enough = icmp sge i64 %h, %helpers
  br i1 %enough, label %together, label %one.more
one.more:
  %held = atomicrmw add ptr %holders.at, i64 1 seq_cst
  %error = call ptr %schedule(ptr %given)
  %fine = icmp eq ptr %error, null
  br i1 %fine, label %helped, label %no.help
helped:
  %h.next = add i64 %h, 1
  br label %help
no.help:
  %unheld = atomicrmw sub ptr %holders.at, i64 1 seq_cst
  store ptr %error, ptr %e2
  call void %destroy(ptr %broken)
  br label %help
together:
  call void @work(ptr %job)
  br label %wait
wait:
  %turns = phi i64 [ 0, %together ], [ %turns.next, %wait.again ]
  %done = load atomic i64, ptr %done.at seq_cst, align 8
  %ready = icmp sge i64 %done, {parts}
  br i1 %ready, label %finish, label %again
again:
  %turns.next = add i64 %turns, 1
  %low = and i64 %turns.next, 1023
  %long = icmp eq i64 %low, 0
  br i1 %long, label %yield, label %wait.again
yield:
  %ignored = call i32 @sched_yield()
  br label %wait.again
wait.again:
  br label %wait
finish:
  call void @leave(ptr %job)
  ret ptr null
}}
""".replace("MINOR", "1")
