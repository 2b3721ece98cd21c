"""A picture of the layers, drawn from the imports that are there."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import grimp

ROW, GAP, WIDTH, MARGIN = 58, 34, 760, 12


class Room(NamedTuple):
    """A folder or module of the library in the picture."""

    name: str
    files: int
    x: float
    y: float
    width: float


def imports(package: str = "adamx") -> tuple[dict[str, int], set[tuple[str, str]]]:
    """The folders with their numbers of files, and who imports whom."""
    graph = grimp.build_graph(package, cache_dir=None)
    files: dict[str, int] = {}
    edges: set[tuple[str, str]] = set()
    for module in graph.modules:
        here = _room(module)
        if here is None:
            continue
        files[here] = files.get(here, 0) + 1
        for other in graph.find_modules_directly_imported_by(module):
            there = _room(other)
            if there is not None and there != here:
                edges.add((here, there))
    return files, edges


def _room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def levels(names: Iterable[str], edges: set[tuple[str, str]]) -> dict[str, int]:
    """How high each stands: above everything that it imports."""
    found: dict[str, int] = {}

    def level(name: str) -> int:
        if name not in found:
            found[name] = 0  # a circle ends here
            below = [level(there) for here, there in edges if here == name]
            found[name] = max(below, default=-1) + 1
        return found[name]

    for name in sorted(names):
        level(name)
    return found


def picture() -> str:
    """The SVG. Its colours are those of the page, in light and dark."""
    files, edges = imports()
    height = levels(files, edges)
    top = max(height.values())
    rooms: dict[str, Room] = {}
    for level in range(top + 1):
        row = sorted(name for name in files if height[name] == level)
        each = (WIDTH - MARGIN * (len(row) + 1)) / len(row)
        for place, name in enumerate(row):
            x = MARGIN + place * (each + MARGIN)
            y = MARGIN + (top - level) * (ROW + GAP)
            rooms[name] = Room(name, files[name], x, y, each)
    total = 2 * MARGIN + (top + 1) * ROW + top * GAP
    arrows = [_arrow(rooms, a, b, files, edges) for a, b in sorted(edges)]
    boxes = [_box(room) for room in rooms.values()]
    return "\n".join(
        (
            '<figure class="layers">',
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" '
            'role="img" aria-label="The folders of adamx as layers, with an arrow '
            'from each folder to those that it imports" font-family="sans-serif">',
            '<defs><marker id="layers-head" viewBox="0 0 8 8" refX="7" refY="4" '
            'markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 L8 4 L0 8 z" fill="currentColor"/></marker></defs>',
            *boxes,
            *filter(None, arrows),
            "</svg>",
            "<figcaption>Each folder or file stands above what it imports. An arrow "
            "is an import; those that follow from two others are left out."
            "</figcaption>",
            "</figure>",
            "",
        )
    )


def _box(room: Room) -> str:
    middle = room.x + room.width / 2
    count = f"{room.files} files" if room.files > 1 else "1 file"
    return (
        f'<rect x="{room.x:.1f}" y="{room.y}" width="{room.width:.1f}" height="{ROW}" '
        'rx="6" fill="currentColor" fill-opacity="0.07" stroke="currentColor" '
        'stroke-opacity="0.55"/>'
        f'<text x="{middle:.1f}" y="{room.y + 26}" text-anchor="middle" '
        f'font-size="16" font-weight="600" fill="currentColor">{room.name}</text>'
        f'<text x="{middle:.1f}" y="{room.y + 45}" text-anchor="middle" '
        f'font-size="12" fill="currentColor" fill-opacity="0.75">{count}</text>'
    )


def _arrow(
    rooms: dict[str, Room],
    here: str,
    there: str,
    files: dict[str, int],
    edges: set[tuple[str, str]],
) -> str:
    """An arrow, unless the import is implied by two others in the picture."""
    if any(
        (here, k) in edges and _reaches(k, there, edges) for k in files if k != there
    ):
        return ""
    a, b = rooms[here], rooms[there]
    x, to = a.x + a.width / 2, b.x + b.width / 2
    return (
        f'<line x1="{x:.1f}" y1="{a.y + ROW}" x2="{to:.1f}" y2="{b.y - 1}" '
        'stroke="currentColor" stroke-opacity="0.6" stroke-width="1.5" '
        'marker-end="url(#layers-head)"/>'
    )


def _reaches(start: str, goal: str, edges: set[tuple[str, str]]) -> bool:
    seen, todo = set(), [start]
    while todo:
        name = todo.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            todo += [b for a, b in edges if a == name]
    return False


if __name__ == "__main__":
    Path("layers.svg").write_text(picture())
