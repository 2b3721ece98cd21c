"""The axes of the layers of Flax, Haiku and Equinox, by the names of their kernels.

Names are a heuristic: `adamx.matrix_plan` prints what they give, and `axes=` says
otherwise.
"""

import re
from typing import Any

from ..engine.masks import Slice, as_mask
from .matrix_axes import MatrixAxes

_ENDS = re.compile(
    r"embe?d|(?<!multi)(?<!multi_)(?<!multi-)head|(^|/)(wte|wpe|logits|output)(/|$)",
    re.I,
)
_VECTOR = re.compile(
    r"(^|/)(bias(_\w+)?|scale)$|(norm\w*|(^|/)ln(_\w+|\d+)?)(/(weight|w|offset))?$",
    re.I,
)
_STACK = re.compile(r"(^|/)(_*layer_stack|scan|vmap)", re.I)
_KERNEL = re.compile(r"(^|/)kernel$")
_OUTPUTS_FIRST = re.compile(r"(^|/)weight(_\w+)?$")
_CONVOLUTION = re.compile(r"conv", re.I)
_UNSHARED = re.compile(r"conv_?local", re.I)
_TRANSPOSED = re.compile(r"conv\w*_transpose/w$")
_INTO_HEADS = re.compile(r"(^|/)(query|key|value)(_proj)?/kernel$", re.I)
_FROM_HEADS = re.compile(r"(^|(att|mha)[^/]*/)(out|o)(_proj)?/kernel$", re.I)
_FUSED = re.compile(
    r"(^|/)(c_attn|qkv|qkv_proj|to_qkv)(/\w+)?$|att[^/]*/in_proj(/\w+|_weight)?$", re.I
)
_EXPERTS = re.compile(r"expert|(^|/)moe(_|/)", re.I)

TWO = "two axes"
STACK = "a stack of layers"
_NAMES_VECTOR = "the path names a bias, a scale or a norm"
_VECTOR_EACH = f"{STACK}, with a vector for each"


def axes_by_name(path: str, leaf: Any, out_axis: int = -1) -> tuple[Any, str]:
    """Return the axes of a leaf (None: not a matrix) by its name, and the reason.

    Two axes are a matrix. Of more axes are known:

    - attention of Flax with heads, `query/kernel` (d, heads, head_dim) as d ×
      heads·head_dim and `out/kernel` back, as where they are one axis, with an axis of
      layers before them or not;
    - a fused `qkv`, `c_attn` (d, 3, ...), three matrices. One of two axes (d, 3 d) is
      one matrix, as it is for torch, Optax and the authors of Muon: `MatrixAxes(
      split_columns=3)` makes three, `3 * heads` those of each head;
    - convolutions, `conv` in the path, as out × the rest;
    - experts, `expert` or `moe`, (experts, m, n);
    - what stands behind one more axis in `layer_stack` of Haiku, `Scan...` and
      `Vmap...` of linen: a matrix for each layer. Two axes there are a vector for each
      layer, but for a `kernel`.

    `weight` of torch and Equinox is (out, in, ...), so that its first axis is the
    columns; with `out_axis=0` the first axis of every leaf is of outputs, and the rows.
    """
    n = len(leaf.shape)
    if n < 2:
        return None, "fewer than two axes"
    if _ENDS.search(path):
        return None, "the path names an embedding, a head or logits"
    if _VECTOR.search(path):
        return None, _NAMES_VECTOR
    attention = _INTO_HEADS.search(path) or _FROM_HEADS.search(path)
    # without a stack it has as many axes: parameters that all steps of a scan share
    least = 3 if attention and n > 2 else 2 if n > 2 or _KERNEL.search(path) else 1
    # inside `stacked` the leaf is a slice: it has one axis of layers less
    axes_of_layers = len(_STACK.findall(path)) - isinstance(leaf, Slice)
    layers = min(max(axes_of_layers, 0), n - least)
    if n - layers < 2:
        return None, _VECTOR_EACH
    axes, why = _of_layer(path, tuple(leaf.shape)[layers:], out_axis in (-1, 1))
    for _ in range(layers if axes else 0):
        axes = axes.of_stack()
    return axes, f"{why}; {STACK}" if layers else why


def _of_layer(path: str, shape: tuple[int, ...], last: bool) -> tuple[Any, str]:
    """Return the axes in one layer; `last` says that columns are outputs."""
    n = len(shape)
    first = bool(_OUTPUTS_FIRST.search(path))
    if n == 2:
        why = f"{TWO}: (out, in)" if first else TWO
        if _FUSED.search(path) and 3 in (shape[0] / shape[1], shape[1] / shape[0]):
            side = "rows" if shape[0] > shape[1] and not (first and last) else "columns"
            of = "1, 0, " if first and last else ""
            why += (
                f"; query, key, value as one matrix: MatrixAxes({of}split_{side}=3) "
                f"for three"
            )
        return (MatrixAxes(1, 0) if first and last else MatrixAxes()), why
    if n in (3, 4):
        more = (0,) if n == 4 else ()  # scanned layers
        if _INTO_HEADS.search(path):
            return MatrixAxes(n - 3, (n - 2, n - 1), more), "attention, into heads"
        if _FROM_HEADS.search(path):
            return MatrixAxes((n - 3, n - 2), n - 1, more), "attention, from heads"
    if _FUSED.search(path) and shape[1] == 3:
        rest = tuple(range(2, n))
        return MatrixAxes(0, rest, 1), "fused query, key, value: one matrix for each"
    if _UNSHARED.search(path):
        return MatrixAxes(n - 2, n - 1), "an unshared convolution: one for each place"
    if _CONVOLUTION.search(path):
        axis = 0 if first or not last else n - 2 if _TRANSPOSED.search(path) else n - 1
        rest = tuple(a for a in range(n) if a != axis)
        axes = MatrixAxes(rest, axis) if last else MatrixAxes(axis, rest)
        return axes, "a convolution: outputs by the rest"
    if _EXPERTS.search(path) and n in (3, 4):
        sides = (n - 1, n - 2) if first and last else (n - 2, n - 1)
        return MatrixAxes(*sides), "experts: one matrix for each"
    why = f"{n} axes and a name that says not which: pass axes="
    return None, f"{why}, or adamx.stacked for layers"


def is_vector(path: str, leaf: Any) -> bool:
    """Select leaves of fewer than two axes, and those that are vectors by name.

    The bias of attention has an axis of heads, the vectors of stacked layers one more.
    """
    few = len(leaf.shape) < 2
    return few or axes_by_name(path, leaf)[1] in (_NAMES_VECTOR, _VECTOR_EACH)


def hidden_matrix(path: str, leaf: Any) -> bool:
    """Select leaves that are matrices, and neither embeddings nor heads.

    Matrices are leaves with two axes, and those of more that `axes=None` of `muon`
    knows by name: attention with heads, convolutions, experts, stacks of layers.
    Excluded are paths that contain `embed`, `embd` or `head` (but `multi_head`), or a
    segment wte, wpe, logits, output, or end in bias, scale, or a norm's weight (those
    of attention have an axis of heads, those of stacks one of layers).
    """
    return axes_by_name(path, leaf)[0] is not None


# not a callable, which optax.inject_hyperparams would take for a schedule
HIDDEN: Any = as_mask("hidden_matrix", hidden_matrix)


def hidden_two_axes(path: str, leaf: Any) -> bool:
    """Select the hidden matrices of two axes, for rules that have no `axes=`."""
    return len(leaf.shape) == 2 and hidden_matrix(path, leaf)


def not_vector(path: str, leaf: Any) -> bool:
    """Select leaves with two axes or more: no biases, and no scales of norms."""
    return len(leaf.shape) > 1


TWO_AXES: Any = as_mask("hidden_two_axes", hidden_two_axes)
