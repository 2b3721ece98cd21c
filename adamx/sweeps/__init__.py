"""Many trainings in one program: `sweep` over hyperparameters, `find_rate`.

Both take an optimizer whose hyperparameters are traced, so that one compiled program
trains at all of them.
"""

from .range_test import RangeTest as RangeTest, find_rate as find_rate
from .result import Sweep as Sweep
from .sweep import sweep as sweep
