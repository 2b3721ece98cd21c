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
        return f'<{kind} style="{_CELL}{weight}text-align:{side};{style}">{text}</{kind}>'

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
    above = f'<div style="{HEADING}">{html.escape(caption)}</div>' if caption else ""
    below = f'<div style="margin-top:0.3em">{html.escape(foot)}</div>' if foot else ""
    made = f'<table style="border-collapse:collapse;margin:0.3em 0">{body}</table>'
    return f"{above}{made}{below}"
