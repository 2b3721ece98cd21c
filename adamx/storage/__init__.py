"""Codecs: how the memory of an optimizer is kept, for `adamx.store`."""

from .blockwise import Blockwise
from .codec import Codec
from .codes import Code, Companded, DynamicMap, Linear, Logarithmic, Minifloat
from .dense import Dense
from .means import BlockMean, Factored

__all__ = [
    "Dense",
    "Blockwise",
    "Factored",
    "BlockMean",
    "Companded",
    "Minifloat",
    "DynamicMap",
    "Logarithmic",
    "Linear",
    "Code",
    "Codec",
]
