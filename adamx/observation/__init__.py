"""Looking at a run from inside: `adamx.observe` and `adamx.metrics`.

The functions are public as `adamx.<name>`; the classes of their results are here.
"""

from .observing import Observing as Observing
from .state import Observed as Observed
