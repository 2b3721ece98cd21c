"""What the rules of single optimizers say, those that work element by element."""

from typing import Any

from ..engine.hyperparams import is_constant, is_zero
from ..optimizers.adabelief import AddEpsEachStep
from ..optimizers.adabound import DynamicBound, UncorrectedMoment
from ..optimizers.adadelta import AdadeltaDirection
from ..optimizers.adafactor import ScaleByParameterRms
from ..optimizers.adam_atan2 import Atan2
from ..optimizers.adam_mini import BlockEma
from ..optimizers.adamax import DecayedMax
from ..optimizers.adamod import MomentalBound
from ..optimizers.adan import AdanDirection
from ..optimizers.adapnm import PositiveNegativeMomentum
from ..optimizers.adashift import TemporalShift
from ..optimizers.ademamix import AccumulatedMomentum, MixtureOfEmas
from ..optimizers.adopt import NormalizeByPrevious, SkipFirstStep
from ..optimizers.avagrad import AvagradDirection
from ..optimizers.came import CameConfidence
from ..optimizers.diffgrad import DiffGradFriction
from ..optimizers.lion import LionMomentum
from ..optimizers.mars import MarsCorrection
from ..optimizers.msvag import MsvagDirection
from ..optimizers.nadam import WarmupNesterov
from ..optimizers.novograd import NormEma
from ..optimizers.padam import PartialPower
from ..optimizers.qhadam import QuasiHyperbolic
from ..optimizers.sm3 import Sm3Accumulator
from ..optimizers.yogi import StartedEma, YogiMoment
from ..parts.denominators import Eps
from .said_of_moments import average, hat, plus_eps, source, statistic
from .writing import (
    Writer,
    bare,
    factor,
    number,
    numerator,
    of,
    rest_of,
    says,
    template,
    term,
    times,
)

template(
    AdadeltaDirection,
    """{@nu} ← {rho} {@nu} + {1-rho} {u}²
    w = {u} RMS({@squared_steps}) / RMS({@nu}),   RMS(x) = sqrt(x + {eps})
    {@squared_steps} ← {rho} {@squared_steps} + {1-rho} w²
    w""",
)
template(ScaleByParameterRms, "max({eps_scale}, RMS(θ)) {u}")
template(
    BlockEma,
    """{@name} ← {decay} {@name} + {1-decay} mean over blocks of {u}²
    {@name}""",
)
template(
    LionMomentum,
    """c = {b1} {@name} + {1-b1} {u}
    {@name} ← {b2} {@name} + {1-b2} {u}
    c""",
)
template(
    Sm3Accumulator,
    """ν = {u}² + min over r of {@name}_r,   r the slices that have the element
    {@name}_r ← max over r of ν
    ν""",
)


@says(PositiveNegativeMomentum)
def _positive_negative(rule: Any, w: Writer, u: str) -> str:
    m, before = w.slot(rule.name), w.slot(f"{rule.name}_before")
    b = rule.decay
    if is_constant(b):
        kept, new = number(b * b), number(1 - b * b)
    else:
        kept, new = f"{of(rule, 'decay')}²", f"(1 - {of(rule, 'decay')}²)"
    w.line(f"n = {kept} {before} + {times(new, u)}")
    w.line(f"{before} ← {m},   {m} ← n")
    b3 = rule.balance
    now, past = f"(1 + {of(rule, 'balance')})", of(rule, "balance")
    if is_constant(b3):
        now = number(1 + b3)
    size = f"sqrt({now}² + {past}²)"
    return f"({times(now, m)} - {times(past, before)}) / {size}"


@says(AddEpsEachStep)
def _add_eps(rule: Any, w: Writer, u: str) -> str:
    s = w.part(rule.moment, u)
    if not is_zero(rule.eps_root):
        w.line(f"{s} ← {s} + {of(rule, 'eps_root')}")
    return s


@says(UncorrectedMoment)
def _uncorrected(rule: Any, w: Writer, u: str) -> str:
    w.part(rule.moment, u)
    return w.slot(rule.name)


def _rate(rule: Any, w: Writer, u: str) -> tuple[str, str]:
    """Return the moment and α / D, divided by what the moment is not."""
    m = w.part(rule.moment, u)
    d = w.part(rule.by, u)
    rate = of(rule, "learning_rate")
    if isinstance(rule.moment, UncorrectedMoment):
        rate = f"{rate} / {factor(w.weights.get(rule.moment.name, '1'))}"
    w.line(f"η = {rate} / {factor(d)}")
    return m, "η"


@says(DynamicBound)
def _dynamic_bound(rule: Any, w: Writer, u: str) -> str:
    m, rate = _rate(rule, w, u)
    last, speed = of(rule, "final_lr"), of(rule, "gamma")
    lower = f"{last} (1 - 1 / ({speed} t + 1))"
    w.line(f"η_low = {lower},   η_high = {last} (1 + 1 / ({speed} t))")
    return times(f"clip({rate}, η_low, η_high)", m)


@says(MomentalBound)
def _momental_bound(rule: Any, w: Writer, u: str) -> str:
    m, rate = _rate(rule, w, u)
    s = w.slot(rule.name)
    w.line(f"{s} ← {average(rule, 'decay', s, rate)}")
    return times(f"min({rate}, {s})", m)


@says(Atan2)
def _atan2(rule: Any, w: Writer, u: str) -> str:
    m, d = w.part(rule.moment, u), w.part(rule.by, u)
    below = d if of(rule, "b") == "1" else f"{of(rule, 'b')} {factor(d)}"
    return times(of(rule, "a"), f"atan2({m}, {below})")


@says(DecayedMax)
def _decayed_max(rule: Any, w: Writer, u: str) -> str:
    v = w.slot(rule.name)
    size = f"|{u}| + {of(rule, 'eps')}"
    if isinstance(rule.eps, Eps):
        size = plus_eps(rule.eps, rule, f"{factor(u)}²", "1")
    elif is_zero(rule.eps):
        size = f"|{u}|"
    w.line(f"{v} ← max({of(rule, 'decay')} {v}, {size})")
    return v


@says(AdanDirection)
def _adan(rule: Any, w: Writer, u: str) -> str:
    before, b2 = w.slot("gradient_before"), of(source(rule.change), "decay")
    m = w.part(rule.mean, u)
    w.line(f"Δ = {u} - {before},   0 in the first step")
    d = w.part(rule.change, "Δ")
    below = w.part(rule.by, w.named("c", f"{u} + {b2} Δ"))
    w.line(f"{before} ← {u}")
    return f"({m} + {b2} {d}) / {factor(below)}"


@says(TemporalShift)
def _temporal_shift(rule: Any, w: Writer, u: str) -> str:
    v, total = w.slot("nu"), w.slot("nu_weight")
    b1, b2 = of(rule, "b1"), of(rule, "b2")
    past = [u, *(w.slot(f"gradient_{i}") for i in range(1, rule.n + 1))]
    oldest = f"{past[-1]}²" if rule.elementwise else f"max({past[-1]}²)"
    w.line(f"t > {rule.n}:  {v} ← {average(rule, 'b2', v, oldest)}")
    w.line(f"once {v} > 0:  {total} ← {b2} {total} + {rest_of(rule, 'b2')}")
    named = ", ".join(past[:-1])
    w.line(f"m = the mean of {named} with the weights {b1}ⁱ,   i = 0 to {rule.n - 1}")
    w.line(f"{', '.join(past[1:])} ← {', '.join(past[:-1])}")
    eps = plus_eps(rule.eps, rule, f"{v} / {total}", total)
    return f"m / {factor(eps)}"


@says(AccumulatedMomentum)
def _accumulated(rule: Any, w: Writer, u: str) -> str:
    m, b = w.slot("mu"), of(rule, "b1")
    w.line(f"{m} ← {b} {m} + {term(u)}")
    now = m
    if rule.bias_correction1:
        weight = w.slot("mu_weight")
        w.line(f"{weight} ← {b} {weight} + 1")
        now = w.named(hat(m), f"{m} / {weight}")
    more = "" if is_zero(rule.alpha) else f" + {times(of(rule, 'alpha'), u)}"
    return f"{now}{more}"


@says(MixtureOfEmas)
def _mixture(rule: Any, w: Writer, u: str) -> str:
    fast, slow = w.part(rule.fast, u), w.part(rule.slow, u)
    return f"{fast} + {times(of(rule, 'alpha'), slow)}"


@says(NormalizeByPrevious)
def _normalize_by_previous(rule: Any, w: Writer, u: str) -> str:
    v = w.slot(source(rule.moment).name)
    eps = rule.eps
    below = f"max(sqrt({v}), {of(rule, 'eps')})"
    if isinstance(eps, Eps):
        below = plus_eps(eps, rule, v, "1")
    w.line("first step:  c = 0")
    w.line(f"then:  c = {numerator(u)} / {factor(below)}")
    w.part(rule.moment, u)
    return "c"


@says(SkipFirstStep)
def _skip_first(rule: Any, w: Writer, u: str) -> str:
    done = w.part(rule.part, u)
    w.line(f"first step:  c = {u}")
    w.line(f"then:  c = {done}")
    return "c"


@says(AvagradDirection)
def _avagrad(rule: Any, w: Writer, u: str) -> str:
    m = w.part(rule.moment, u)
    v = w.slot(source(rule.square).name)
    w.line(f"η = 1 / {factor(plus_eps(rule.eps, rule, v, '1'))}")
    w.part(rule.square, u)
    w.line("r = RMS(η) over all parameters")
    return f"η / r {factor(m)}"


@says(CameConfidence)
def _came(rule: Any, w: Writer, u: str) -> str:
    m = w.part(rule.moment, u)
    s = w.part(rule.instability, f"({u} - {m})")
    return f"{m} / sqrt({s})"


@says(DiffGradFriction)
def _diffgrad(rule: Any, w: Writer, u: str) -> str:
    before = w.slot(rule.name)
    w.line(f"ξ = 1 / (1 + exp(-|{before} - {u}|))")
    w.line(f"{before} ← {u}")
    return times("ξ", w.part(rule.direction, u))


@says(MarsCorrection)
def _mars(rule: Any, w: Writer, u: str) -> str:
    b1, gamma = of(rule.of.moment, "decay"), of(rule, "gamma")
    if rule.exact:
        before = "g_before"
        w.line(f"{before} = the gradient of this batch at the previous parameters")
    else:
        before = w.slot("gradient_before")
    rest = factor(rest_of(rule.of.moment, "decay"))
    w.line(f"c = {u} + {gamma} {b1} / {rest} ({u} - {before})")
    if not rule.exact:
        w.line(f"{before} ← {u}")
    clipped = w.part(rule.clip, "c")
    if clipped != "c":
        w.line(f"c ← {clipped}")
    return w.part(rule.of, "c")


@says(MsvagDirection)
def _msvag(rule: Any, w: Writer, u: str) -> str:
    m, v = w.slot("mu"), w.slot("nu")
    b, rest = of(rule, "beta"), rest_of(rule, "beta")
    w.line(f"{m} ← {average(rule, 'beta', m, u)}")
    w.line(f"{v} ← {average(rule, 'beta', v, f'{factor(u)}²')}")
    if "mu_weight" in rule.slots():
        total, squares = w.slot("mu_weight"), w.slot("mu_square_weight")
        w.line(f"{total} ← {b} {total} + {rest}")
        w.line(f"{squares} ← {b}² {squares} + {rest}²")
        w.line(f"ρ = {squares} / {total}²")
    else:
        total = f"(1 - {b}ᵗ)"
        w.line(f"ρ = {rest} (1 + {b}ᵗ) / ((1 + {b}) {total})")
    w.line(f"{hat(m)} = {m} / {total},   {hat(v)} = {v} / {total}")
    w.line(f"s = ({hat(v)} - {hat(m)}²) / (1 - ρ)")
    return f"{hat(m)} {hat(m)}² / ({hat(m)}² + ρ s)"


@says(WarmupNesterov)
def _warmup_nesterov(rule: Any, w: Writer, u: str) -> str:
    m = w.part(rule.moment, u)
    total = w.slot(f"{rule.moment.name}_weight")
    b, psi = of(source(rule.moment), "decay"), of(rule, "momentum_decay")
    w.line(f"μ_t = {b} (1 - 0.96^(t · {psi}) / 2)")
    w.line(f"{total} ← μ_t {total} + (1 - μ_t)")
    w.weights[rule.moment.name] = total
    first = f"μ_{{t+1}} {m} / (1 - μ_{{t+1}} (1 - {total}))"
    return w.named(hat(m), f"{first} + (1 - μ_t) {factor(u)} / {total}")


@says(NormEma)
def _norm_ema(rule: Any, w: Writer, u: str) -> str:
    v = w.slot(rule.name)
    w.line(f"first step:  {v} ← ‖{u}‖²")
    w.line(f"then:  {v} ← {average(rule, 'decay', v, f'‖{bare(u)}‖²')}")
    return v


@says(PartialPower)
def _partial_power(rule: Any, w: Writer, u: str) -> str:
    d, p = w.part(rule.denominator, u), of(rule, "p")
    total = w.weights.get(rule.denominator.moment.name, "1")
    twice = number(2 * rule.p) if is_constant(rule.p) else f"2 {p}"
    power = f"({bare(d)})^({twice})"
    return power if total == "1" else f"{power} {factor(total)}^({p} - 1/2)"


@says(QuasiHyperbolic)
def _quasi_hyperbolic(rule: Any, w: Writer, u: str) -> str:
    m, f = w.part(rule.moment, u), statistic(rule.of, w, u)
    if rest_of(rule, "share") == "0":
        return m
    return average(rule, "share", m, f)


@says(YogiMoment)
def _yogi(rule: Any, w: Writer, u: str) -> str:
    v, f = w.slot(rule.name), statistic(rule.of, w, u)
    w.line(f"{v} ← {v} - {times(rest_of(rule, 'decay'), f'sign({v} - {f})')} {f}")
    if not is_zero(rule.start):
        w.line(f"before the first step:  {v} = {of(rule, 'start')}")
    return v


@says(StartedEma)
def _started(rule: Any, w: Writer, u: str) -> str:
    m = w.slot(rule.name)
    w.line(f"{m} ← {average(rule, 'decay', m, statistic(rule.of, w, u))}")
    w.line(f"before the first step:  {m} = {of(rule, 'start')}")
    return m
