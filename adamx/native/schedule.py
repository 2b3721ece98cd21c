"""The order of a native loop: which operations run together, over what, in which turn.

A block's largest number is known after a loop over its elements, and what depends on
it runs in a later loop over the same block, which is then in the cache. A value that a
later loop needs is kept in a buffer of one block.
"""

from typing import NamedTuple

from .graph import Node, Where
from .program import Program

FREE = {"input", "literal", "place"}  # they are read or computed anew in each loop


class Loop(NamedTuple):
    """Operations of one turn over the elements, the pairs, or once for the block."""

    turn: int
    over: Where
    nodes: list[Node]
    stores: list[int]  # the numbers of outputs


class Schedule(NamedTuple):
    """The loops of a program in order.

    Attributes:
        leaf: the operations that run once.
        loops: the others.
        buffered: the nodes whose values are kept for later loops.
    """

    leaf: list[Node]
    loops: list[Loop]
    buffered: set[Node]


def home(node: Node) -> Where:
    """Return what an operation runs over."""
    return {"largest": Where.ELEMENT, "unpack": Where.PAIR}.get(node.op, node.where)


def schedule(program: Program, aliases: dict[int, int]) -> Schedule:
    """Order the operations; `aliases` names the input in whose memory an output is."""
    wanted = _wanted(program)
    nodes = [n for n in program.graph.nodes if n in wanted and n.op not in FREE]
    turns: dict[Node, int] = {}
    for n in nodes:
        turns[n] = max((_after(a, home(n), turns) for a in n.args), default=0)
    _postpone(nodes, turns, program)

    read: dict[int, int] = {}  # the last turn in which an input is read
    for n in nodes:
        for a in n.args:
            if a.op == "input":
                read[a.data] = max(read.get(a.data, 0), turns[n])
    loops: dict[tuple[int, Where], Loop] = {}

    def loop(turn: int, over: Where) -> Loop:
        return loops.setdefault((turn, over), Loop(turn, over, [], []))

    leaf = [n for n in nodes if n.where is Where.LEAF]
    for n in nodes:
        if n.where is not Where.LEAF:
            loop(turns[n], home(n)).nodes.append(n)
    for i, (n, over) in enumerate(program.outputs):
        turn = max(_after(n, over, turns), read.get(aliases.get(i, -1), 0))
        loop(turn, over).stores.append(i)
    ordered = [loops[key] for key in sorted(loops)]
    return Schedule(leaf, ordered, _buffered(program, ordered, turns))


def _wanted(program: Program) -> set[Node]:
    wanted = {n for n, _ in program.outputs}
    for n in reversed(program.graph.nodes):
        if n in wanted:
            wanted.update(n.args)
    return wanted


def _after(a: Node, over: Where, turns: dict[Node, int]) -> int:
    """Return the first turn in which a loop over `over` can use the value."""
    if a.op in FREE or a.where is Where.LEAF:
        return 0
    together = home(a) == over and a.op not in ("largest", "unpack")
    return turns[a] + (0 if together else 1)


def _postpone(nodes: list[Node], turns: dict[Node, int], program: Program) -> None:
    """Let operations run as late as their users, if that needs no more buffers."""
    users: dict[Node, list[Node]] = {n: [] for n in nodes}
    for n in nodes:
        for a in n.args:
            if a in users:
                users[a].append(n)
    stored = {n for n, _ in program.outputs}
    for n in reversed(nodes):
        crossing = n.op in ("largest", "unpack", "half") or n.where is Where.LEAF
        if crossing or n in stored or not users[n]:
            continue
        latest = min(turns[u] - (home(u) != home(n)) for u in users[n])
        inputs = {a for a in n.args if a in users and a.where is not Where.LEAF}
        fresh = [a for a in inputs if len(users[a]) > 1 and a.where is not Where.BLOCK]
        if latest > turns[n] and len(fresh) <= 1:
            turns[n] = latest


def _buffered(program: Program, loops: list[Loop], turns: dict[Node, int]) -> set[Node]:
    found = set()
    for loop in loops:
        uses = [a for n in loop.nodes for a in n.args]
        uses += [program.outputs[i][0] for i in loop.stores]
        for a in uses:
            if a.op in FREE or a.where in (Where.LEAF, Where.BLOCK):
                continue
            if a.op == "unpack" or turns[a] < loop.turn or home(a) != loop.over:
                found.add(a)
    return found
