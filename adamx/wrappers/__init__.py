"""Wrappers of a whole optimizer: `adamx.tunable`, `adamx.stacked`, and others.

The functions are public as `adamx.<name>`; the classes of their results are here.
"""

from .accumulating import Accumulated as Accumulated, Accumulating as Accumulating
from .around import Around as Around
from .grouped import Groups as Groups
from .offload import Offloaded as Offloaded
from .stacked import Stacked as Stacked
from .tunable import Tunable as Tunable, Tuned as Tuned
from .zero1 import Zero1 as Zero1
