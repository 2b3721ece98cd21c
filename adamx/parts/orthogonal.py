"""Orthogonalisation of matrices by Newton-Schulz, and its scale factors (Muon)."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import NON_NEGATIVE, Hyper, hyper, option
from ..engine.state import Context, Slots
from ..numerics.arithmetic import safe_divide
from ..numerics.matrices import HIGHEST
from ..numerics.sharding import as_piece, as_whole
from ..numerics.splits import across, shards
from .iterations import Iteration, muon_quintic
from .layer_axes import TWO
from .matrix_rules import MatrixRule, TensorRule, layout_of
from .matrix_views import MatrixView, Named
from .tree_axes import AxesByName


class Orthogonalize(MatrixRule):
    """Orthogonalise matrices: `u ← NewtonSchulz(u)`, about U Vᵀ of u = U S Vᵀ.

    In a chain the matrices of all leaves that have one shape and dtype, up to a
    transposition, are iterated together, as one stack. All arithmetic is in float32,
    and every product at `precision`.

    Args:
        iteration: how: `muon_quintic(5)`, `polar_express(5)`, `cans(8)`,
            `deepseek_v4()`, `classic_quintic(10)`, `gram_newton_schulz(...)`,
            `ExactPolar()`, or a table of your own as `NewtonSchulz(rows)`.
        eps: ε ≥ 0, added to ‖u‖.
        precision: that of products: a `jax.lax.Precision` or its name: "highest" is
            full float32, "high" about 3 passes of bfloat16 (TF32 on GPUs), "default"
            the backend's fastest; or a dtype to which the operands are rounded.
        axes: which axes are rows, columns and batch: `MatrixAxes` or Optax's
            `MuonDimensionNumbers`, for all leaves, by path pattern in a dict, as a tree
            like the parameters, or by a function of path and leaf, or of the
            parameters. None: by name, `axes_by_name`.
        adaptive: scale the result by its inner product with u, the nuclear norm of u
            for an exact polar factor; over the whole leaf.
        spread: the sharding of the stacks, a `NamedSharding` whose first axis is that
            of the matrices. Each device then iterates its own, without communication;
            a stack that the devices do not divide is filled up with zeros, which
            `matrix_plan` says. Not inside a `shard_map` over that axis.
        axis_name: inside `shard_map`, the mesh axis over which the first axis of the
            leaf is split: the shards are gathered, and every device computes the whole.
        public: the public name of `eps`, if it is not "eps".

    Raises:
        ValueError: a leaf without two axes, axes that do not exist, an unknown
            precision, a `spread` over an axis of the mesh that is manual.

    Reference: Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
    2024, kellerjordan.github.io/posts/muon; `adaptive`: Bernstein & Newhouse, "Old
    optimizer, new norm: an anthology", 2024, arXiv:2409.20325.
    """

    iteration: Iteration = option(muon_quintic(5), kw_only=False)
    eps: Hyper = hyper(
        1e-7, allowed=NON_NEGATIVE, public=lambda self: self.public or "eps"
    )
    precision: Any = option(HIGHEST)
    axes: Any = option(AxesByName())
    adaptive: bool = option(False)
    spread: Any = option(None)
    axis_name: Any = option(None)
    public: str | None = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.iteration, Iteration):
            raise errors.type_error(
                "Orthogonalize",
                "`iteration` must be an iteration",
                errors.shown(self.iteration),
                "Pass for example muon_quintic(5), or NewtonSchulz(rows).",
            )
        if self.spread is not None:
            _check_spread(self.spread)

    def matrix_view(self, leaf: Any, named: Named) -> MatrixView:
        k, m, n = layout_of(self, leaf, named[0]).sizes
        why, over = named[1] or TWO, devices(self.spread)
        return MatrixView("Muon", why, k, (m, n), together=True, devices=over)

    def matrices(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> Float[Array, "k m n"]:
        layout = self._layout(update, ctx)
        full = as_whole(update, self.axis_name, layout.apart)
        stack = layout.stack(full)
        return stack.mT if stack.shape[1] > stack.shape[2] else stack

    def together(self, stack: Float[Array, "k m n"]) -> Float[Array, "k m n"]:
        if self.spread is None:
            return self.iteration.orthogonalize(stack, self.eps, self.precision)
        _check_outside(self.spread)
        filled = jnp.pad(
            stack, ((0, -len(stack) % devices(self.spread)), (0, 0), (0, 0))
        )
        filled = _placed(filled, self.spread)
        done = self.iteration.orthogonalize(filled, self.eps, self.precision)
        return _gathered(_placed(done, self.spread))[: len(stack)]

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        stack = (
            ctx.together
            if ctx.has("together")
            else self.together(self.matrices(update, slots, ctx))
        )
        layout = self._layout(update, ctx)
        stack = stack.mT if layout.sizes[1] > layout.sizes[2] else stack
        o = as_piece(layout.unstack(stack), self.axis_name, update, layout.apart)
        if self.adaptive:
            o = across(jnp.sum(update * o), self.axis_name) * o
        return o, slots


def _check_spread(sharding: Any) -> None:
    """Raise an error for a `spread` over which no stack can be spread."""
    spec = getattr(sharding, "spec", None)
    if not (isinstance(sharding, NamedSharding) and spec and spec[0]):
        raise errors.type_error(
            "Orthogonalize",
            "`spread` must be a NamedSharding whose first axis is on the mesh",
            errors.shown(sharding),
            'Pass NamedSharding(mesh, PartitionSpec("data")).',
        )
    if any(spec[1:]):
        raise errors.AdamxError(
            f"Orthogonalize: `spread` must shard the first axis only, that of the "
            f"matrices, got {spec}. Rows and columns stay whole, so that the "
            f"iterations need no communication."
        )
    kinds = dict(zip(sharding.mesh.axis_names, sharding.mesh.axis_types, strict=True))
    for name in _names(sharding):
        if kinds[name] is AxisType.Manual:
            raise errors.AdamxError(
                f"Orthogonalize: `spread` must be over axes that are Auto or Explicit, "
                f"got {name!r}, which is Manual. Make the mesh with jax.make_mesh."
            )


def _check_outside(sharding: NamedSharding) -> None:
    """Raise an error inside a `shard_map` over the axis of a spread."""
    manual = jax.sharding.get_abstract_mesh().manual_axes
    inside = [name for name in _names(sharding) if name in manual]
    if inside:
        raise errors.AdamxError(
            f"Orthogonalize: `spread` must not be over an axis of the shard_map around "
            f"it, got {inside[0]!r}. Leave it out there, and pass axis_name= for "
            f"leaves that are split."
        )


def _names(sharding: NamedSharding) -> tuple[str, ...]:
    """Return the mesh axes of the first axis."""
    first = sharding.spec[0]
    return first if isinstance(first, tuple) else (first,)


def devices(spread: NamedSharding | None) -> int:
    """Return over how many devices stacks are spread."""
    if spread is None:
        return 1
    return math.prod(spread.mesh.shape[name] for name in _names(spread))


def _placed(stack: Array, sharding: NamedSharding) -> Array:
    """Lay out a stack on a mesh, whose axes are of either kind."""
    if _is_explicit(sharding):
        return jax.sharding.reshard(stack, sharding)
    return jax.lax.with_sharding_constraint(stack, sharding)


def _gathered(stack: Array) -> Array:
    """Copy a stack to every device where its layout is part of its type."""
    sharding = jax.typeof(stack).sharding
    if not _is_explicit(sharding):
        return stack
    return jax.sharding.reshard(stack, NamedSharding(sharding.mesh, PartitionSpec()))


def _is_explicit(sharding: Any) -> bool:
    return AxisType.Explicit in sharding.mesh.axis_types


class ScaleByShape(MatrixRule):
    """Scale matrices by their shape.

        u ← sqrt(max(1, out / in)) u

    or, with `consistent_rms` = c, `u ← c sqrt(max(out, in)) u`.

    Args:
        consistent_rms: None for the first form; 0.2 gives updates about the RMS of
            AdamW's.
        out_axis: the side of the outputs: -1 for kernels stored as (in, out), whose
            columns they are, 0 for torch's (out, in).
        axes: which axes are rows and columns, as in `Orthogonalize`; None: by name,
            with this `out_axis`.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    Reference: Jordan et al., 2024, kellerjordan.github.io/posts/muon; Liu et al., "Muon
    is scalable for LLM training", 2025, eq. 4, arXiv:2502.16982.
    """

    takes = "either"

    consistent_rms: Hyper | None = hyper(
        None, allowed=NON_NEGATIVE.but("0.2 is usual."), or_part=type(None)
    )
    out_axis: int = option(-1, least=-2, most=1, advice="A matrix has two axes.")
    axes: Any = option(None)
    axis_name: Any = option(None)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        shape = self._layout(update, ctx).sizes[1:]
        out, into = shape[self.out_axis % 2], shape[1 - self.out_axis % 2]
        if self.consistent_rms is None:
            return max(1.0, out / into) ** 0.5 * update, slots
        return self.consistent_rms * max(out, into) ** 0.5 * update, slots


class NormalizeRms(TensorRule):
    """Scale each tensor, or matrix, to the same RMS: `u ← r u / RMS(u)`; 0 stays 0.

    Args:
        rms: r ≥ 0; 0.2 is AdamW's in practice.
        eps: ε ≥ 0, added to ‖u‖.
        axes: a mask with axes, as those of `Orthogonalize`: each matrix of a leaf has
            this RMS; None for the whole tensor.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Si, Zhang & Shen, "AdaMuon: adaptive Muon optimizer", 2025, Algorithm 1,
    arXiv:2507.11005.
    """

    rms: Hyper = hyper(0.2, allowed=NON_NEGATIVE)
    eps: Hyper = hyper(0.0, allowed=NON_NEGATIVE, public="eps_rms")
    axes: Any = option(None)
    axis_name: Any = option(None)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        each = self._norms(update, ctx)
        length = each.spread(each.of(update) + self.eps, update)
        size = update.size * shards(self.axis_name) // each.number
        return safe_divide(self.rms * size**0.5 * update, length), slots
