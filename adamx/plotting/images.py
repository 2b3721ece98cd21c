"""Small pictures in a row, each with a label."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .style import COLOURS


def pictures(
    ax: Any, images: Any, labels: Sequence[Any], right: Sequence[bool]
) -> None:
    """Draw small pictures in a row with their labels: blue if right, else vermilion."""
    images = np.asarray(images)
    gap = np.full((images.shape[1], 1), images.min())
    ax.imshow(np.hstack([np.hstack([image, gap]) for image in images]), cmap="Greys")
    ax.axis("off")
    width = images.shape[2] + 1
    for i, (label, fits) in enumerate(zip(labels, right, strict=True)):
        colour = COLOURS[0] if fits else COLOURS[3]
        ax.text(width * i + width / 2 - 1, -1, str(label), color=colour, ha="center")
