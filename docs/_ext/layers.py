"""A picture of the layers: rows from the contract, arrows from the real imports."""

import tomllib
from pathlib import Path
from typing import NamedTuple

import grimp

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = "adamx"
FACE = "__init__"
ROW, GAP, WIDTH, MARGIN = 52, 30, 760, 12

Edges = set[tuple[str, str]]


class Room(NamedTuple):
    """A folder or a file of the library in the picture."""

    x: float
    y: float
    width: float

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def contract() -> list[list[str]]:
    """The layers as pyproject.toml has them, the highest first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for one in project["tool"]["importlinter"]["contracts"]:
        if one["type"] == "layers" and one.get("containers") == [PACKAGE]:
            return [
                [name.strip(" ()") for name in line.replace(":", "|").split("|")]
                for line in one["layers"]
            ]
    raise SystemExit("docs: pyproject.toml has no contract on the layers of adamx.")


def imports() -> tuple[dict[str, int], Edges]:
    """The folders and files with their numbers of files, and who imports whom."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    files: dict[str, int] = {}
    edges: Edges = set()
    for module in graph.modules:
        here = _room(module)
        files[here] = files.get(here, 0) + 1
        for other in graph.find_modules_directly_imported_by(module):
            if _room(other) != here:
                edges.add((here, _room(other)))
    return files, edges


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else FACE


def rows(edges: Edges) -> list[list[str]]:
    """The contract's rows, with the package's own file above what it imports."""
    found = contract()
    below = [
        level
        for level, row in enumerate(found)
        if any((FACE, name) in edges for name in row)
    ]
    found.insert(min(below, default=len(found)), [FACE])
    return found


def picture() -> str:
    """The SVG. Its colours are those of the page, in light and dark."""
    files, edges = imports()
    stack = [[name for name in row if name in files] for row in rows(edges)]
    rooms: dict[str, Room] = {}
    for level, row in enumerate(stack):
        each = (WIDTH - MARGIN * (len(row) + 1)) / max(len(row), 1)
        for place, name in enumerate(row):
            x = MARGIN + place * (each + MARGIN)
            rooms[name] = Room(x, MARGIN + level * (ROW + GAP), each)
    total = 2 * MARGIN + len(stack) * ROW + (len(stack) - 1) * GAP
    drawn = sorted(
        (a, b) for a, b in edges if not _implied(a, b, edges) and {a, b} <= {*rooms}
    )
    return "\n".join(
        (
            '<figure class="layers">',
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" '
            'role="img" aria-label="The folders of adamx as layers, with an arrow '
            'from each to those that it imports" font-family="sans-serif">',
            '<defs><marker id="layers-head" viewBox="0 0 8 8" refX="7" refY="4" '
            'markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 L8 4 L0 8 z" fill="currentColor"/></marker></defs>',
            *_arrows(rooms, drawn),
            *(_box(name, room, files[name]) for name, room in rooms.items()),
            "</svg>",
            "<figcaption>The folders are the layers. An arrow is an import that is in "
            "the source; where it follows from other arrows it is left out.",
            "</figcaption>",
            "</figure>",
            "",
        )
    )


def _box(name: str, room: Room, count: int) -> str:
    title = f"{PACKAGE}/{name}.py" if name == FACE else name
    said = f"{count} files" if count > 1 else "1 file"
    return (
        f'<rect x="{room.x:.1f}" y="{room.y}" width="{room.width:.1f}" height="{ROW}" '
        'rx="6" fill="var(--color-background-secondary, #f8f9fb)" '
        'stroke="currentColor" stroke-opacity="0.55"/>'
        f'<text x="{room.middle:.1f}" y="{room.y + 23}" text-anchor="middle" '
        f'font-size="16" font-weight="600" fill="currentColor">{title}</text>'
        f'<text x="{room.middle:.1f}" y="{room.y + 41}" text-anchor="middle" '
        f'font-size="12" fill="currentColor" fill-opacity="0.75">{said}</text>'
    )


def _arrows(rooms: dict[str, Room], edges: list[tuple[str, str]]) -> list[str]:
    """Straight down where the rooms overlap; a long one passes behind the rooms."""
    taken: list[float] = []
    lines = []
    for here, there in edges:
        a, b = rooms[here], rooms[there]
        left, right = max(a.x, b.x), min(a.x + a.width, b.x + b.width)
        if left < right:
            x = (left + right) / 2
            while any(abs(x - other) < 14 for other in taken):
                x += 28
            taken.append(x)
            start = end = x
        else:
            start, end = a.middle, b.middle
        lines.append(
            f'<line x1="{start:.1f}" y1="{a.y + ROW}" x2="{end:.1f}" y2="{b.y - 1}" '
            'stroke="currentColor" stroke-opacity="0.7" stroke-width="1.5" '
            'marker-end="url(#layers-head)"/>'
        )
    return lines


def _implied(here: str, there: str, edges: Edges) -> bool:
    """Whether other imports lead from the one to the other."""
    seen, todo = {here}, [b for a, b in edges if a == here and b != there]
    while todo:
        name = todo.pop()
        if name == there:
            return True
        if name not in seen:
            seen.add(name)
            todo += [b for a, b in edges if a == name]
    return False
