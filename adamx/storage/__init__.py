"""Storage of an optimizer's state: codecs, and the quantization maps they use.

`adamx.store` applies a codec to a slot, `adamx.memory_plan` counts the bytes.
"""

from typing import TYPE_CHECKING

from ..later import loader as _loader
from .blockwise import Blockwise as Blockwise
from .cast import Cast as Cast
from .codec import Codec as Codec
from .low_precision_params import (
    SplitMaster as SplitMaster,
    StochasticRounding as StochasticRounding,
)
from .means import (
    BlockMean as BlockMean,
    RowColumnMeans as RowColumnMeans,
    last_axis as last_axis,
)
from .quantization_maps import (
    Companded as Companded,
    DynamicMap as DynamicMap,
    Linear as Linear,
    Logarithmic as Logarithmic,
    Minifloat as Minifloat,
    QuantizationMap as QuantizationMap,
)
from .store import Stored as Stored

if TYPE_CHECKING:
    from .matrix_plan import MatrixPlan as MatrixPlan, MatrixRow as MatrixRow
    from .packing import Packing as Packing
    from .plan import MemoryPlan as MemoryPlan, MemoryRow as MemoryRow

_LATER = {
    "MatrixPlan": "matrix_plan",
    "MatrixRow": "matrix_plan",
    "MemoryPlan": "plan",
    "MemoryRow": "plan",
    "Packing": "packing",
}

if not TYPE_CHECKING:  # a type checker would take every name for one of these
    __getattr__ = _loader(__name__, _LATER)


def __dir__() -> list[str]:
    return [*globals(), *_LATER]
