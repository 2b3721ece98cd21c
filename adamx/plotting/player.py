"""An animation that a notebook shows with its controls, without files from elsewhere.

This file imports Matplotlib: it is loaded when an animation is made.
"""

import re

from matplotlib.animation import FuncAnimation

_SYMBOLS = {
    "fa-minus": "−",
    "fa-fast-backward": "⏮",
    "fa-step-backward": "◂|",
    "fa-play fa-flip-horizontal": "◀",
    "fa-pause": "⏸",
    "fa-play": "▶",
    "fa-step-forward": "|▸",
    "fa-fast-forward": "⏭",
    "fa-plus": "+",
}
"""The icons of Matplotlib's player, which come from another site, as characters."""


class PathAnimation(FuncAnimation):
    """A `FuncAnimation` that is shown in notebooks as a player.

    `to_jshtml()` returns the player as HTML in which nothing is loaded from elsewhere;
    `save("paths.gif", writer="pillow")` writes a file.
    """

    def to_jshtml(self, *args, **given) -> str:
        """Return the frames and a player for them as HTML."""
        html = super().to_jshtml(*args, **given)
        html = re.sub(r'<link rel="stylesheet"\s+href="http[^>]*>', "", html)
        for icon, symbol in _SYMBOLS.items():
            html = html.replace(f'<i class="fa {icon}"></i>', symbol)
        return html

    def _repr_html_(self) -> str:
        return self.to_jshtml()
