"""An animation that a notebook shows with its controls, without files from elsewhere.

This file imports Matplotlib: it is loaded when an animation is made.
"""

import base64
import io
import re

from matplotlib.animation import FuncAnimation
from PIL import Image

_SYMBOLS = {
    "fa-minus": "−",
    "fa-fast-backward": "|◀◀",
    "fa-step-backward": "|◀",
    "fa-play fa-flip-horizontal": "◀",
    "fa-pause": "‖",
    "fa-play": "▶",
    "fa-step-forward": "▶|",
    "fa-fast-forward": "▶▶|",
    "fa-plus": "+",
}
"""The icons of Matplotlib's player, which come from another site, as characters."""


_PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\\\s]+)")


def _smaller(found: re.Match[str]) -> str:
    """Return a picture of a page in 128 colours: a fifth of the size."""
    given = base64.b64decode(found[1].replace("\\", ""))
    image = Image.open(io.BytesIO(given)).convert("RGB")
    method = Image.Quantize.MAXCOVERAGE  # others mix the colours of thin lines
    kept = io.BytesIO()
    small = image.quantize(128, method, kmeans=1, dither=Image.Dither.NONE)
    small.save(kept, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(kept.getvalue()).decode()}"


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
        return _PICTURE.sub(_smaller, html)

    def _repr_html_(self) -> str:
        return self.to_jshtml()
