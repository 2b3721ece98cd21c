"""What the parts around moments say: clips, decays, rates, averages of parameters."""

from typing import Any

from ..engine.hyperparams import is_zero
from ..parts.clipping import (
    AdaptiveClip,
    Clip,
    ClipByGlobalNorm,
    ClipByNorm,
    ClipByRms,
    ClipNormGrowth,
)
from ..parts.directions import (
    Cautious,
    CautiousCount,
    CautiousMeanPlusEps,
    Centralize,
    Grams,
    Sign,
)
from ..parts.gradient_noise import GradientNoise
from ..parts.grafting import Graft
from ..parts.iterations import NewtonSchulz
from ..parts.learning_rate import LearningRate, Negate
from ..parts.orthogonal import NormalizeRms, Orthogonalize, ScaleByShape
from ..parts.parameter_averages import (
    LookaheadWeights,
    OuterNesterov,
    ParamEma,
    PrimalAveraging,
    ScheduleFree,
)
from ..parts.parameter_norm import Hyperball, RadialBrake, UpdateFloor
from ..parts.qk_clip import QKClip
from ..parts.restarts import PeriodicReset
from ..parts.trust_ratio import TrustRatio
from ..parts.weight_decay import (
    CautiousWeightDecay,
    Decay,
    IndependentWeightDecay,
    ProximalWeightDecay,
    WeightDecay,
    WeightDecayAfterStep,
)
from ..storage.low_precision_params import SplitMaster, StochasticRounding
from .writing import (
    Writer,
    bare,
    factor,
    leaves_of,
    number,
    numerator,
    of,
    power,
    rest_of,
    says,
    template,
    term,
    times,
)

template(Sign, "sign({u})")
template(Centralize, "{u} - mean({u})")
template(Clip, "min(max({u}, -{max_delta}), {max_delta})")
template(ClipByNorm, "{u} min(1, {max_norm} / ‖{u}‖)")
template(
    ClipByGlobalNorm,
    """n = ‖{u}‖, the norm of all leaves
    {u} min(1, {max_norm} / n)""",
)
template(
    ClipNormGrowth,
    """c = min(1, {limit} ({@name} + {eps}) / ‖{u}‖)
    {@name} ← ‖c {u}‖
    c {u}""",
)
template(
    AdaptiveClip,
    """t < {warmup}:  c = min(1, {lambda_abs} / ‖all g‖),   \
{@name} ← min({@name}, ‖c {u}‖)
    then:  c = min(1, {lambda_rel} {@name} / ‖{u}‖),   \
{@name} ← {decay} {@name} + {1-decay} ‖c {u}‖
    c {u}""",
)
template(
    GradientNoise,
    """σ_t² = {noise_variance} / t^({gamma})
    {u} + σ_t N(0, 1)""",
)
template(LearningRate, "-{learning_rate} {u}")
template(Negate, "-{u}")
template(
    ParamEma,
    """{@name_weight} ← {@name_weight} + {1-decay} (1 - {@name_weight})
    {@name} ← {@name} + {1-decay} / {@name_weight} (θ + {u} - {@name})
    evaluate at:  θ + {@name_share} ({@name} - θ),   {@name_share} = 1
    {u}""",
)
template(
    PrimalAveraging,
    """x = {@name} + (θ - {@name}) / {inner}
    {@name} ← {@name} + {u}
    x ← x + {1-decay} ({@name} - x)
    θ' = {inner} x + {1-inner} {@name}
    evaluate at:  x = θ + {@name_share} ({@name} - θ),   {@name_share} = 1 - 1 / {inner}
    θ' - θ""",
)
template(
    LookaheadWeights,
    """each {sync_period} steps:  \
{@name} ← {@name} + {slow_step_size} (θ + {u} - {@name}),   θ' = {@name}
    otherwise:  θ' = θ + {u}
    evaluate at:  θ + {@name_share} ({@name} - θ),   {@name_share} = 1
    θ' - θ""",
)
template(
    OuterNesterov,
    """each {sync_period} steps:  Δ = {@name} - (θ + {u})
    each {sync_period} steps:  {@name_momentum} ← {outer_momentum} {@name_momentum} + Δ
    each {sync_period} steps:  {@name} ← {@name} - {outer_learning_rate} \
(Δ + {outer_momentum} {@name_momentum}),   θ' = {@name}
    otherwise:  θ' = θ + {u}
    evaluate at:  θ + {@name_share} ({@name} - θ),   {@name_share} = 1
    θ' - θ""",
)
template(
    Hyperball,
    """{@radius} = ‖θ₀‖
    {@radius} (θ + {u}) / ‖θ + {u}‖ - θ""",
)
template(
    RadialBrake,
    """ρ = ‖θ + {u}‖,   s = {outward} if ρ > ‖θ‖, else {inward}
    (‖θ‖ + s (ρ - ‖θ‖)) (θ + {u}) / ρ - θ""",
)
template(UpdateFloor, "{u} max(1, {ratio} ‖θ‖ / ‖{u}‖)")
template(
    SplitMaster,
    """bits of the master = bits of θ · 2¹⁶ + {@residual}
    {u}""",
)
template(StochasticRounding, "round(θ + {u}) - θ")


@says(QKClip)
def _qk_clip(rule: Any, w: Writer, u: str) -> str:
    a, tau = of(rule, "alpha"), of(rule, "tau")
    with w.when("for each head, S its largest logit"):
        w.line(f"γ = {tau} / max(S, {tau})")
        w.line(f"queries `{rule.queries!r}`:  θ' = γ^({a}) (θ + {u})")
        if rule.keys is not None:
            w.line(f"keys `{rule.keys!r}`:  θ' = γ^(1 - {a}) (θ + {u})")
    return "θ' - θ"


@says(ClipByRms)
def _clip_by_rms(rule: Any, w: Writer, u: str) -> str:
    most = of(rule, "clipping_threshold")
    size = f"RMS({u})" if most == "1" else f"RMS({u}) / {most}"
    return f"{numerator(u)} / max(1, {size})"


@says(Cautious)
def _cautious(rule: Any, w: Writer, u: str) -> str:
    inner = w.named("u", w.part(rule.part, u))
    w.line(f"φ = 1({inner} {factor(u)} > 0)")
    longer = rule.longer
    if isinstance(longer, CautiousCount):
        w.line("c = dim / (1 + sum(φ))")
    elif isinstance(longer, CautiousMeanPlusEps):
        w.line(f"c = 1 / (mean(φ) + {of(longer, 'eps')})")
    else:
        w.line(f"c = 1 / max(mean(φ), {of(longer, 'smallest')})")
    return f"c φ {factor(inner)}"


@says(Grams)
def _grams(rule: Any, w: Writer, u: str) -> str:
    return f"sign({u}) |{w.part(rule.part, u)}|"


@says(
    WeightDecay,
    CautiousWeightDecay,
    WeightDecayAfterStep,
    IndependentWeightDecay,
    ProximalWeightDecay,
)
def _weight_decay(rule: Decay, w: Writer, u: str) -> str:
    if rule.mask is None or is_zero(rule.weight_decay):
        return decayed(rule, u)
    u = w.assign(u)
    with w.when(leaves_of(rule.mask)):
        w.assign(decayed(rule, u))
    return "u"


def decay_of(owner: Any, w: Writer, u: str) -> str:
    """Return what a rule with a decay of its own adds, "" for nothing."""
    decay = owner.weight_decay
    if is_zero(decay):
        return ""
    part = isinstance(decay, Decay)
    mask = decay.mask if part else getattr(owner, "mask", None)
    if mask is not None:
        w.note(f"Only {leaves_of(mask)} decay.")
    if isinstance(decay, Decay):
        if isinstance(decay, CautiousWeightDecay):
            kept = f"1({factor(u)} θ ≥ 0) θ"
            return times(of(decay, "weight_decay"), kept)
        return times(of(decay, "weight_decay"), "θ")
    return times(of(owner, "weight_decay"), "θ")


def decayed(rule: Any, u: str) -> str:
    """Return what a decay makes of an update."""
    lam = of(rule, "weight_decay")
    if isinstance(rule, IndependentWeightDecay):
        done = f"{u} - {times(lam, 'θ')}"
    elif isinstance(rule, ProximalWeightDecay):
        pull = f"{of(rule, 'learning_rate')} {lam}"
        done = f"({u} - {pull} θ) / (1 + {pull})"
    elif isinstance(rule, WeightDecayAfterStep):
        rate = rule.learning_rate
        pull = lam if rate is None else f"{of(rule, 'learning_rate')} {lam}"
        done = f"{u} - {pull} (θ + {u})"
    elif isinstance(rule, CautiousWeightDecay):
        done = f"{u} + {times(lam, f'1({factor(u)} θ ≥ 0) θ')}"
    else:
        done = u if is_zero(rule.weight_decay) else f"{u} + {times(lam, 'θ')}"
    return done


@says(TrustRatio)
def _trust_ratio(rule: Any, w: Writer, u: str) -> str:
    phi = getattr(rule.phi, "__name__", "phi") if rule.phi is not None else ""
    size = "‖θ‖" if rule.phi is None else f"⟦{phi}⟧(‖θ‖)"
    eps = "" if is_zero(rule.eps) else f" + {of(rule, 'eps')}"
    below = f"(‖{bare(u)}‖{eps})" if eps else f"‖{bare(u)}‖"
    scale = of(rule, "trust_coefficient")
    return f"{times(scale, size)} / {below} {factor(u)}"


@says(PeriodicReset)
def _periodic_reset(rule: Any, w: Writer, u: str) -> str:
    inner, j = w.part(rule.part, u), w.slot(rule.name)
    w.line(f"each {rule.every} steps:  all of these averages ← 0,   {j} ← 0")
    if not rule.warmup:
        return inner
    w.line(
        f"{j} < {rule.warmup}:  κ = 1 - 0.99 (1 + cos(π {j} / {rule.warmup + 1})) / 2"
    )
    w.line("otherwise:  κ = 1")
    return times("κ", inner)


@says(Graft)
def _graft(rule: Any, w: Writer, u: str) -> str:
    before, w.prefix = w.prefix, f"{w.prefix}magnitude_"
    m = w.short("a", w.part(rule.magnitude, u))
    w.prefix = before
    d = w.short("b", w.part(rule.direction, u))
    if rule.start > 1:
        w.line(f"t < {rule.start}:  b = {m}")
    return f"‖{m}‖ / ‖{d}‖ {d}"


@says(ScheduleFree)
def _schedule_free(rule: Any, w: Writer, u: str) -> str:
    z, most, total = (
        w.slot(name) for name in (rule.name, "learning_rate_max", "weight_sum")
    )
    share, b = w.slot(f"{rule.name}_share"), of(rule, "b1")
    rate = of(rule, "learning_rate")
    rate = rate if rule.scaled_by is None else f"{rate} {w.slot(rule.scaled_by)}"
    w.line(f"{most} ← max({most}, {rate})")
    weight = power(most, of(rule, "weight_lr_power"))
    grows = "" if is_zero(rule.r) else f"{power('t', of(rule, 'r'))} "
    w.line(f"w = {grows}{weight}")
    w.line(f"{total} ← {total} + w")
    w.line(f"x = θ + {share} ({z} - θ)")
    w.line(f"{z} ← {z} + {term(u)}")
    w.line(f"x ← x + w / {total} ({z} - x)")
    w.line(f"{share} ← 1 - 1 / {b}")
    w.line(f"θ' = {b} x + {rest_of(rule, 'b1')} {z}")
    w.line("evaluate at:  x")
    return "θ' - θ"


@says(NormalizeRms)
def _normalize_rms(rule: Any, w: Writer, u: str) -> str:
    count = "sqrt(dim) " if rule.axes is None else "sqrt(m n) "
    eps = "" if is_zero(rule.eps) else f" + {of(rule, 'eps')}"
    below = f"(‖{bare(u)}‖{eps})" if eps else f"‖{bare(u)}‖"
    return f"{times(of(rule, 'rms'), f'{count}{factor(u)}')} / {below}"


@says(Orthogonalize)
def _orthogonalize(rule: Any, w: Writer, u: str) -> str:
    iteration = rule.iteration
    eps = "" if is_zero(rule.eps) else f" + {of(rule, 'eps')}"
    below = f"(‖{bare(u)}‖{eps})" if eps else f"‖{bare(u)}‖"
    w.line(f"X = {numerator(u)} / {below}")
    if isinstance(iteration, NewtonSchulz):
        rows = list(dict.fromkeys(iteration.coefficients))
        steps = len(iteration.coefficients)
        if len(rows) == 1:
            a, b, c = map(number, rows[0])
            then = f"X ← {a} X + ({b} X Xᵀ + {c} (X Xᵀ)²) X"
            w.line(f"{steps} times:  {then}")
        else:
            name = iteration.name or type(iteration).__name__
            said = f"X ← a_i X + (b_i X Xᵀ + c_i (X Xᵀ)²) X, coefficients of ⟦{name}⟧"
            w.line(f"i = 1 to {steps}:  {said}")
    else:
        w.line("X ← U Vᵀ of X = U S Vᵀ")
    if rule.adaptive:
        return f"⟨{bare(u)}, X⟩ X"
    return "X"


@says(ScaleByShape)
def _scale_by_shape(rule: Any, w: Writer, u: str) -> str:
    if rule.consistent_rms is None:
        return f"sqrt(max(1, out / in)) {factor(u)}"
    size = f"sqrt(max(out, in)) {factor(u)}"
    return times(of(rule, "consistent_rms"), size)
