"""Tables in HTML, for what a notebook shows: one look, in light and dark themes.

Colours are those of the notebook (`currentColor`), every text is escaped, and nothing
is loaded from elsewhere.
"""

import html
import re
from collections.abc import Iterable, Sequence

HEADING = "margin:0.8em 0 0.2em;font-weight:600"
_RULE = "1px solid color-mix(in srgb, currentColor 25%, transparent)"
_CELL = f"padding:0.2em 0.8em 0.2em 0;border:none;border-bottom:{_RULE};" + (
    "vertical-align:top;background:transparent;color:inherit;"
)


def formatted(text: str) -> str:
    """Return text with what stands in backticks as code."""
    pieces = re.split(r"`([^`]+)`", text.replace("⟦", "`").replace("⟧", "`"))
    return "".join(
        f"<code>{html.escape(piece)}</code>" if i % 2 else html.escape(piece)
        for i, piece in enumerate(pieces)
    )


def paragraph(text: str) -> str:
    """Return a line of text, with what stands in backticks as code."""
    return f'<div style="margin:0.2em 0">{formatted(text)}</div>'


def preformatted(text: str) -> str:
    """Return text whose columns are aligned by spaces."""
    style = "background:transparent;color:inherit;margin:0.3em 0"
    return f'<pre style="{style}">{html.escape(text)}</pre>'


def heading(text: str) -> str:
    """Return a line above what belongs together."""
    return f'<div style="{HEADING}">{formatted(text)}</div>'


def size(count: float) -> str:
    """Return a number of bytes in the largest unit in which it is at least 1."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.4g} {unit}"
        count /= 1024
    raise AssertionError


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    code: Sequence[int] = (),
    bars: Sequence[float] | None = None,
    foot: str = "",
    caption: str = "",
) -> str:
    """Return a table of texts, which are escaped.

    Args:
        head: the names of the columns.
        rows: the cells.
        right: the columns that are aligned at the right.
        code: the columns in the font of code.
        bars: for each row the share, in [0, 1], that a bar shows behind the last cell.
        foot: a line below it.
        caption: a line above it.
    """

    def cell(kind: str, i: int, text: str, style: str = "") -> str:
        side = "right" if i in right else "left"
        if i in code and kind == "td":
            text = f"<code>{html.escape(text)}</code>"
        else:
            text = html.escape(text)
        weight = "font-weight:600;" if kind == "th" else "font-weight:normal;"
        return (
            f'<{kind} style="{_CELL}{weight}text-align:{side};{style}">{text}</{kind}>'
        )

    lines = ["".join(cell("th", i, name) for i, name in enumerate(head))]
    for n, row in enumerate(rows):
        last = len(row) - 1
        styles = [""] * len(row)
        if bars is not None:
            share = f"{100 * max(0.0, min(1.0, bars[n])):.1f}%"
            shade = "color-mix(in srgb, currentColor 18%, transparent)"
            styles[last] = (
                f"background:linear-gradient(to left, {shade} {share}, "
                f"transparent {share});padding-left:3em;padding-right:0.3em;"
            )
        cells = (cell("td", i, str(x), styles[i]) for i, x in enumerate(row))
        lines.append("".join(cells))
    body = "".join(f'<tr style="background:transparent">{line}</tr>' for line in lines)
    above = heading(caption) if caption else ""
    below = f'<div style="margin-top:0.3em">{html.escape(foot)}</div>' if foot else ""
    style = "border-collapse:collapse;margin:0.8em 0 0.2em"
    made = f'<table style="{style}">{body}</table>'
    made = f'<div style="overflow-x:auto">{made}</div>'  # on a phone
    return f"{above}{made}{below}"
