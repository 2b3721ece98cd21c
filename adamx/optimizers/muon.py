"""Muon: orthogonalised momentum for hidden matrices, Adam for other leaves.

Matrices are gathered over `axis_name` inside `shard_map`. Stacked layers: give
`adamx.stacked` the (layers, m, n) leaves, and `muon_mask` a predicate for them.
"""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..engine.masks import Not
from ..engine.rule import Rule
from ..numerics.matrices import HIGHEST, QUINTIC
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.iterations import as_iteration
from ..parts.layer_axes import HIDDEN
from ..parts.learning_rate import LearningRate
from ..parts.masked import Masked
from ..parts.moments import Ema, square
from ..parts.nesterov import LookAhead
from ..parts.orthogonal import Orthogonalize, ScaleByShape
from ..parts.tree_axes import as_axes
from ..parts.weight_decay import Decay, as_decay, decoupled


def _momentum(beta: ScalarOrSchedule, nesterov: bool) -> Rule:
    average = Ema(beta, name="momentum", public="beta")
    return LookAhead(average) if nesterov else average


def _adam(
    b1: ScalarOrSchedule,
    b2: ScalarOrSchedule,
    eps: ScalarOrSchedule | Eps,
    mu: str = "mu",
    nu: str = "nu",
) -> Rule:
    """Return Adam's direction beside Muon; `mu` and `nu` are the names of its slots."""
    root = RootPlusEps(
        Debiased(Ema(b2, square, nu, public="adam_b2")), eps, public="adam_eps"
    )
    return Precondition(Debiased(Ema(b1, name=mu, public="adam_b1")), by=root)


def _rest(
    muon_mask: Any,
    b1: ScalarOrSchedule,
    b2: ScalarOrSchedule,
    eps: ScalarOrSchedule | Eps,
    mu: str = "mu",
    nu: str = "nu",
) -> Rule:
    """Return Adam's direction for the leaves that Muon does not update."""
    return Masked(_adam(b1, b2, eps, mu, nu), Not(muon_mask))


def muon_leaves(muon_mask: Any, given: Any, axes: Any) -> Any:
    """Return the mask of Muon's leaves: with `axes=` given, those that have some."""
    return axes if muon_mask is HIDDEN and given is not None else muon_mask


def _rates(
    learning_rate: ScalarOrSchedule,
    adam_learning_rate: ScalarOrSchedule | None,
    muon_mask: Any,
) -> list[Rule]:
    """Return one rate for all leaves, or one for Muon's and one for Adam's."""
    if adam_learning_rate is None:
        return [LearningRate(learning_rate)]
    return [
        Masked(LearningRate(learning_rate), muon_mask),
        Masked(LearningRate(adam_learning_rate), Not(muon_mask)),
    ]


def _ended(
    direction: Rule | Chain, decays: list[tuple[Decay, Any]], rates: list[Rule]
) -> Chain:
    """Append the rates, and each decay of a mask on its side of them."""
    before, after = (
        [Masked(decay, where) for decay, where in decays if decay.takes == takes]
        for takes in ("direction", "step")
    )
    return chain(direction, *before, *rates, *after)


def _decay_of_rest(
    adam_weight_decay: ScalarOrSchedule | Decay, mask: Any, muon_mask: Any
) -> list[tuple[Decay, Any]]:
    """Return the decay of Adam's leaves with its mask, none for 0."""
    found = decoupled(adam_weight_decay, mask, "adam_weight_decay")
    return [(decay, Not(muon_mask)) for decay in found]


def _finish(
    direction: Rule | Chain,
    muon_mask: Any,
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule | Decay,
    mask: Any,
    adam_learning_rate: ScalarOrSchedule | None,
    adam_weight_decay: ScalarOrSchedule | Decay,
) -> Chain:
    """Append weight decay and learning rate for Muon's leaves and for Adam's."""
    decays = [(as_decay(weight_decay, mask), muon_mask)]
    decays += _decay_of_rest(adam_weight_decay, mask, muon_mask)
    return _ended(
        direction, decays, _rates(learning_rate, adam_learning_rate, muon_mask)
    )


@checked_keywords
def scale_by_muon(
    coefficients: Any = QUINTIC,
    ns_steps: int = 5,
    beta: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule = 1e-8,
    *,
    nesterov: bool = True,
    consistent_rms: ScalarOrSchedule | None = None,
    out_axis: int = -1,
    iteration: Any = None,
    precision: Any = HIGHEST,
    axes: Any = None,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    spread: Any = None,
    muon_mask: Any = HIDDEN,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.999,
    adam_eps: ScalarOrSchedule | Eps | None = None,
    axis_name: Any = None,
) -> Chain:
    """Scale matrices as Muon does and other leaves as Adam: `muon` without rate, decay.

    Args: as in `muon`.

    State: `momentum` for Muon's leaves, 4 bytes a parameter; `mu`, `nu` for the others.

    Reference: Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
    2024, kellerjordan.github.io/posts/muon.
    """
    given, axes = axes, as_axes("muon", axes, out_axis)
    hidden = chain(
        _momentum(beta, nesterov),
        Orthogonalize(
            as_iteration("muon", coefficients, ns_steps, iteration, preconditioning),
            eps,
            precision=precision,
            axes=axes,
            adaptive=adaptive,
            spread=spread,
            axis_name=axis_name,
        ),
        ScaleByShape(consistent_rms, out_axis=out_axis, axes=axes, axis_name=axis_name),
    )
    muon_mask = muon_leaves(muon_mask, given, axes)
    adam_eps = eps if adam_eps is None else adam_eps
    rest = _rest(muon_mask, adam_b1, adam_b2, adam_eps)
    return chain(Masked(hidden, muon_mask), rest)


@checked_keywords
def muon(
    learning_rate: ScalarOrSchedule = 0.02,
    coefficients: Any = QUINTIC,
    ns_steps: int = 5,
    beta: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule = 1e-8,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    *,
    nesterov: bool = True,
    consistent_rms: ScalarOrSchedule | None = None,
    out_axis: int = -1,
    iteration: Any = None,
    precision: Any = HIGHEST,
    axes: Any = None,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    spread: Any = None,
    muon_mask: Any = HIDDEN,
    adam_learning_rate: ScalarOrSchedule | None = None,
    adam_b1: ScalarOrSchedule = 0.9,
    adam_b2: ScalarOrSchedule = 0.999,
    adam_eps: ScalarOrSchedule | Eps | None = None,
    adam_weight_decay: ScalarOrSchedule | Decay = 0.0,
    axis_name: Any = None,
) -> Chain:
    """Muon: orthogonalise the momentum of hidden matrices; Adam updates other leaves.

        B ← β B + (1 - β) G,    M = β B + (1 - β) G
        O = NewtonSchulz(M)                  (about U Vᵀ of M = U S Vᵀ)
        θ ← θ - α (sqrt(max(1, out / in)) O + λ θ)

    Args:
        learning_rate: α ≥ 0, the spectral norm of a step.
        coefficients: (a, b, c) of the iteration X ← a X + (b A + c A²) X, A = X Xᵀ; or
            rows of them, one for each step, at most `ns_steps`, as for Optax.
        ns_steps: the number of iterations, where `coefficients` is one row.
        beta: β in [0, 1), the decay of the momentum.
        eps: ε ≥ 0, added to ‖M‖; Optax's default, the author's code has 1e-7.
        weight_decay: λ ≥ 0 or a decay part, for Muon's leaves.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        nesterov: use Nesterov momentum; without it M = B.
        consistent_rms: 0.2 scales by 0.2 sqrt(max(out, in)) instead (Liu et al.).
        out_axis: the axis of the outputs: -1 for (in, out), 0 for torch's (out, in).
        iteration: in place of `coefficients` and `ns_steps`: `polar_express(5)`,
            `cans(8)`, `deepseek_v4()`, `gram_newton_schulz(...)` and others of
            `adamx.parts`.
        precision: that of every product: a `jax.lax.Precision` or its name, or a dtype
            to which the operands are rounded, such as `jnp.bfloat16`.
        axes: which axes are rows, columns and batch: `MatrixAxes` or Optax's
            `MuonDimensionNumbers`, for all leaves, by path pattern in a dict, as a tree
            like the parameters, or by a function; None for Adam. By default by name:
            two axes, attention of Flax with heads, convolutions as out × the rest,
            experts, stacks of layers (`axes_by_name`); `adamx.matrix_plan` prints them.
        adaptive: scale O by its inner product with M (Bernstein & Newhouse).
        preconditioning: what M is divided by first: "frobenius", "spectral", "aol" or
            "schatten", as in `NewtonSchulz(start=...)`.
        spread: a `NamedSharding` over whose first axis the matrices of one shape are
            spread; each device then iterates its own.
        muon_mask: Muon's leaves, as `mask`; `hidden_matrix` selects those that have
            axes, and no `embed`, `embd` or `head` in the path, nor a segment wte, wpe,
            logits, output. With `axes=`, the leaves that it gives axes.
        adam_learning_rate: the rate of the others; None for the same, as in Optax. A
            rate of Muon's is far too large for Adam: pass Adam's own, such as 3e-4.
        adam_b1: β₁ of Adam.
        adam_b2: β₂ of Adam.
        adam_eps: ε of Adam, or an eps kind; None for `eps`, as in Optax.
        adam_weight_decay: λ ≥ 0 of the others, or a decay part.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `momentum` (B), from 0, for Muon's leaves, 4 bytes per parameter; `mu`, `nu`
    for the others, 8 bytes per parameter; leaves that do not use a slot keep nothing
    of it.

    Matrices of one shape and dtype are iterated together, as one stack.

    Departs from the paper: the iteration runs in float32, at full precision. From
    `optax.contrib.muon`, which corrects the two terms of Nesterov's sum by different
    weights and so changes the first directions: here there is no correction, as in the
    authors' code. From it too: more leaves than those with two axes are known, and a
    `weight` is (out, in), as in Equinox. A fused kernel of query, key and value with
    two axes is one matrix, as in Optax, torch and the authors' code; the authors advise
    one for each: `axes={"qkv": MatrixAxes(split_columns=3)}`. Adam's hyperparameters
    are Optax's: the authors' code gives Adam a rate of its own,
    `adam_learning_rate=3e-4` beside 0.02, `adam_b2=0.95` and `adam_eps=1e-10`.

    Raises:
        ValueError: an argument out of its range, a Muon leaf that is no matrix, axes
            that do not exist, a table of more rows than `ns_steps`.

    Reference: Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
    2024, kellerjordan.github.io/posts/muon; Liu et al., "Muon is scalable for LLM
    training", 2025, arXiv:2502.16982.
    """
    direction = scale_by_muon(
        coefficients,
        ns_steps,
        beta,
        eps,
        nesterov=nesterov,
        consistent_rms=consistent_rms,
        out_axis=out_axis,
        iteration=iteration,
        precision=precision,
        axes=axes,
        adaptive=adaptive,
        preconditioning=preconditioning,
        spread=spread,
        muon_mask=muon_mask,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
        adam_eps=adam_eps,
        axis_name=axis_name,
    )
    return _finish(
        direction,
        muon_leaves(muon_mask, axes, as_axes("muon", axes, out_axis)),
        learning_rate,
        weight_decay,
        mask,
        adam_learning_rate,
        adam_weight_decay,
    )
