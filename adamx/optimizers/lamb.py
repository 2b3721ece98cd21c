"""One number for each tensor: LAMB, LARS, NovoGrad.

Inside `shard_map` pass `axis_name`, the mesh axes over which the leaves are split:
every norm is then that of the whole tensor. Stacked layers: `adamx.stacked`.
"""

from collections.abc import Callable
from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper
from ..engine.keywords import alias
from ..engine.rule import Rule
from ..layer_rules import LocalRate, NormEma
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition, Root
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, HeavyBall, Identity, square
from ..parts.trust_ratio import TrustRatio
from ..parts.weight_decay import WeightDecay


def _adam(b1: Hyper, b2: Hyper, eps: Hyper | Eps) -> Rule:
    second = Debiased(Ema(b2, square, "nu"))
    return Precondition(Debiased(Ema(b1)), by=Root(second, eps))


@alias
def scale_by_lamb(
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-6,
    *,
    phi: Callable[[Any], Any] | None = None,
    axis_name: Any = None,
) -> Chain:
    """LAMB's direction without decay: `lamb` without rate and sign.

    Args: as in `lamb`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: You et al., "Large batch optimization for deep learning: training BERT in
    76 minutes", ICLR 2020, Algorithm 2, arXiv:1904.00962.
    """
    return chain(_adam(b1, b2, eps), TrustRatio(phi=phi, axis_name=axis_name))


@alias
def lamb(
    learning_rate: Hyper,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-6,
    *,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    phi: Callable[[Any], Any] | None = None,
    axis_name: Any = None,
) -> Chain:
    """LAMB: AdamW whose step is as long, for each tensor, as the tensor itself.

        u = m̂ / (sqrt(v̂) + ε) + λ θ      (m̂ and v̂ as in `adam`)
        θ ← θ - α φ(‖θ‖) / ‖u‖ u          (1 for the ratio where a norm is 0)

    Args:
        learning_rate: α ≥ 0, the share of its length by which a tensor moves.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        phi: φ, a function of ‖θ‖ such as `lambda z: jnp.clip(z, 0.01, 10)`; None for
            ‖θ‖ itself.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    State: `mu` (m), `nu` (v), from 0; 8 bytes per parameter, and the count.

    Departs from the paper: 1 for a ratio with a zero, as in the authors' code, which
    leaves out the bias correction: `chain(Precondition(Ema(0.9), by=Root(Ema(0.999,
    square, "nu"), 1e-6)), WeightDecay(λ), TrustRatio(), LearningRate(α))`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: You et al., "Large batch optimization for deep learning: training BERT in
    76 minutes", ICLR 2020, Algorithm 2, arXiv:1904.00962.
    """
    return chain(
        _adam(b1, b2, eps),
        WeightDecay(weight_decay, mask),
        TrustRatio(phi=phi, axis_name=axis_name),
        LearningRate(learning_rate),
    )


@alias
def scale_by_lars(
    trust_coefficient: Hyper = 0.001,
    eps: Hyper = 0.0,
    trust_ratio_mask: Any = None,
    momentum: Hyper = 0.9,
    *,
    nesterov: bool = False,
    norm_of_sum: bool = False,
    axis_name: Any = None,
) -> Chain:
    """LARS's direction without decay: `lars` without rate and sign.

    Args: as in `lars`.

    State: `momentum`; 4 bytes per parameter.

    Reference: You, Gitman & Ginsburg, "Large batch training of convolutional networks",
    2017, Algorithm 1, arXiv:1708.03888.
    """
    local = LocalRate(
        0.0,
        None,
        trust_coefficient,
        eps,
        trust_ratio_mask,
        norm_of_sum=norm_of_sum,
        axis_name=axis_name,
    )
    return chain(local, HeavyBall(momentum, nesterov))


@alias
def lars(
    learning_rate: Hyper,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    trust_coefficient: Hyper = 0.001,
    eps: Hyper = 0.0,
    trust_ratio_mask: Any = None,
    momentum: Hyper = 0.9,
    *,
    nesterov: bool = False,
    norm_of_sum: bool = False,
    axis_name: Any = None,
) -> Chain:
    """LARS: SGD with momentum and a rate for each tensor.

        r = η ‖θ‖ / (‖g‖ + λ ‖θ‖ + ε)     (1 where a norm is 0)
        m ← μ m + α r (g + λ θ)
        θ ← θ - m

    Args:
        learning_rate: α ≥ 0, the global rate; it is inside the momentum.
        weight_decay: λ ≥ 0.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        trust_coefficient: η ≥ 0, the share of ‖θ‖ that a step of rate 1 has.
        eps: ε ≥ 0 in units of the gradient; the paper has none.
        trust_ratio_mask: the leaves with a ratio, as `mask`; the others have r = 1.
        momentum: μ in [0, 1).
        nesterov: look ahead, as in `sgd`.
        norm_of_sum: ‖g + λ θ‖ in place of ‖g‖ + λ ‖θ‖, as Optax has it.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    State: `momentum` (m), from 0; 4 bytes per parameter, and the count.

    Departs from the paper: nothing; from `optax.lars` by default where λ > 0, which
    divides by ‖g + λ θ‖. LARS as the LAMB paper restates it, an average first and the
    ratio of its norm: `chain(WeightDecay(λ), Ema(0.9), TrustRatio(), LearningRate(α))`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: You, Gitman & Ginsburg, "Large batch training of convolutional networks",
    2017, Algorithm 1, arXiv:1708.03888.
    """
    local = LocalRate(
        weight_decay,
        mask,
        trust_coefficient,
        eps,
        trust_ratio_mask,
        norm_of_sum=norm_of_sum,
        axis_name=axis_name,
    )
    return chain(local, LearningRate(learning_rate), HeavyBall(momentum, nesterov))


@alias
def scale_by_novograd(
    b1: Hyper = 0.9,
    b2: Hyper = 0.25,
    eps: Hyper | Eps = 1e-6,
    *,
    averaging: bool = False,
    axis_name: Any = None,
) -> Chain:
    """NovoGrad's direction without decay: `novograd` without rate and sign.

    Args: as in `novograd`.

    State: `nu`, one number per tensor, `mu`; 4 bytes per parameter.

    Reference: Ginsburg et al., "Stochastic gradient methods with layer-wise adaptive
    moments for training of deep networks", 2019, Algorithm 1, arXiv:1905.11286.
    """
    return chain(_normalised(b2, eps, axis_name), _moment(b1, averaging))


def _normalised(b2: Hyper, eps: Hyper | Eps, axis_name: Any) -> Rule:
    return Precondition(Identity(), by=Root(NormEma(b2, axis_name=axis_name), eps))


def _moment(b1: Hyper, averaging: bool) -> Rule:
    return Ema(b1) if averaging else HeavyBall(b1, name="mu", public="b1")


@alias
def novograd(
    learning_rate: Hyper,
    b1: Hyper = 0.9,
    b2: Hyper = 0.25,
    eps: Hyper | Eps = 1e-6,
    *,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    averaging: bool = False,
    axis_name: Any = None,
) -> Chain:
    """NovoGrad: momentum of gradients of unit length, one second moment per tensor.

        first step:  v ← ‖g‖²
        then:        v ← β₂ v + (1 - β₂) ‖g‖²
        m ← β₁ m + (g / (sqrt(v) + ε) + λ θ)
        θ ← θ - α m

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of m; the authors' experiments have 0.95.
        b2: β₂ in [0, 1), the decay of v; Optax's default, the paper has 0.98 for most.
        eps: ε ≥ 0 in units of the gradient, or an eps kind; `RootEps(ε)` is the
            authors' code.
        weight_decay: λ ≥ 0; it enters m.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        averaging: m is an average, what enters it is multiplied by 1 - β₁.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    State: `mu` (m), from 0, 4 bytes per parameter; `nu` (v), from the first ‖g‖², one
    number per tensor; the count.

    Departs from the paper: ε stands in the first step too.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Ginsburg et al., "Stochastic gradient methods with layer-wise adaptive
    moments for training of deep networks", 2019, Algorithm 1, arXiv:1905.11286.
    """
    return chain(
        _normalised(b2, eps, axis_name),
        WeightDecay(weight_decay, mask),
        _moment(b1, averaging),
        LearningRate(learning_rate),
    )
