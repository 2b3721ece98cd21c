"""What is put around a whole optimizer: `adamx.tunable`, `adamx.stacked`, and others.

The functions are public as `adamx.<name>`; here are the classes of what they return.
"""

from .stacked import Stacked as Stacked
from .tunable import Tunable as Tunable, Tuned as Tuned
