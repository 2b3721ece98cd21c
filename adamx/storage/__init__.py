"""Storage of an optimizer's state: codecs, and the quantization maps they use.

`adamx.store` applies a codec to a slot, `adamx.memory_plan` counts the bytes.
"""

from .blockwise import Blockwise as Blockwise
from .cast import Cast as Cast
from .codec import Codec as Codec
from .low_precision_params import (
    SplitMaster as SplitMaster,
    StochasticRounding as StochasticRounding,
)
from .matrix_plan import MatrixPlan as MatrixPlan, MatrixRow as MatrixRow
from .means import BlockMean as BlockMean, RowColumnMeans as RowColumnMeans
from .plan import MemoryPlan as MemoryPlan, MemoryRow as MemoryRow
from .quantization_maps import (
    Companded as Companded,
    DynamicMap as DynamicMap,
    Linear as Linear,
    Logarithmic as Logarithmic,
    Minifloat as Minifloat,
    QuantizationMap as QuantizationMap,
)
from .store import Stored as Stored
