"""Looking at a run from inside: `adamx.observe` and `adamx.metrics`.

The functions are public as `adamx.<name>`; the classes of their results are here.
"""

from typing import TYPE_CHECKING

from ..later import loader as _loader
from .state import Observed as Observed

if TYPE_CHECKING:
    from .observing import Observing as Observing

_LATER = {"Observing": "observing"}

if not TYPE_CHECKING:  # a type checker would take every name for one of these
    __getattr__ = _loader(__name__, _LATER)


def __dir__() -> list[str]:
    return [*globals(), *_LATER]
