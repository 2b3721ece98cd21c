"""How light a colour is in a grey print."""

from typing import Any

from matplotlib.colors import to_rgb


def lightness(colour: Any) -> float:
    """Return CIE L*, from 0 for black to 100 for white."""
    linear = [
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4
        for x in to_rgb(colour)
    ]
    y = sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 116 * y ** (1 / 3) - 16 if y > (6 / 29) ** 3 else y * (29 / 3) ** 3
