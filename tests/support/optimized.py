"""Which tests need programs that LLVM has optimized.

Two programs that compute the same in pieces of different shapes may round differently
where LLVM does not optimize, as in CI's full grid. `.ci/run optimized` runs these.
"""

import os
import re

import pytest

_levels = re.findall(
    r"xla_backend_optimization_level=(\d)", os.environ.get("XLA_FLAGS", "")
)


def _optimized(why: str) -> pytest.MarkDecorator:
    reason = f"{why}: in optimized programs only (.ci/run optimized)"
    return pytest.mark.skipif(_levels[-1:] == ["0"], reason=reason)


SAME_BITS = _optimized("equal bits, or units in the last place")
MANY_NUMBERS = _optimized("millions of steps or numbers")
