"""How the memory of an optimizer is kept."""

from .blockwise import Blockwise
from .cast import Cast
from .codec import Codec
from .means import BlockMean, RowColumnMeans
from .quantization_maps import (
    Companded,
    DynamicMap,
    Linear,
    Logarithmic,
    Minifloat,
    QuantizationMap,
)

__all__ = [
    "Cast",
    "Blockwise",
    "RowColumnMeans",
    "BlockMean",
    "Companded",
    "Minifloat",
    "DynamicMap",
    "Logarithmic",
    "Linear",
    "QuantizationMap",
    "Codec",
]
