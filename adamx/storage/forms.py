"""The codec that stored a slot, from the text of its form in the state."""

import ast
from typing import Any

from .. import errors
from .blockwise import Blockwise
from .cast import Cast
from .codec import Codec
from .means import RowColumnMeans
from .quantization_maps import Companded, DynamicMap, Linear, Logarithmic, Minifloat

_KINDS = {
    kind.__name__: kind
    for kind in (
        Blockwise,
        Cast,
        RowColumnMeans,
        Companded,
        DynamicMap,
        Linear,
        Logarithmic,
        Minifloat,
    )
}


def codec_of(form: str) -> Codec | None:
    """Return the codec of a form, None if it is none of those of adamx.

    The text is read, not run: a checkpoint may hold any.
    """
    try:
        found = _read(ast.parse(form, mode="eval").body)
    except (SyntaxError, KeyError, TypeError, errors.AdamxError):
        return None
    return found if isinstance(found, Codec) else None


def _read(node: Any) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):  # a dtype
        return node.id
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise KeyError(ast.dump(node))
    named = {str(word.arg): _read(word.value) for word in node.keywords}
    return _KINDS[node.func.id](*map(_read, node.args), **named)
