"""Which tests need programs that LLVM has optimized.

Two programs that compute the same in pieces of different shapes may round differently
where LLVM does not optimize, as in the small grid (conftest.py).
"""

import os
import re

import pytest

_levels = re.findall(r"xla_backend_optimization_level=(\d)", os.environ["XLA_FLAGS"])

SAME_BITS = pytest.mark.skipif(
    _levels[-1] == "0", reason="equal bits in optimized programs only (full grid)"
)
