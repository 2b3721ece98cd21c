"""What rules say about whole steps: of single optimizers, those that see a tensor."""

from typing import Any

from ..engine.hyperparams import is_zero
from ..optimizers.adahessian import HessianRoot
from ..optimizers.adamc import CorrectedDecay
from ..optimizers.adamp import AdampProjection
from ..optimizers.dadapt_adamw import DAdaptDirection
from ..optimizers.dog import DogDirection
from ..optimizers.dowg import DowgDirection
from ..optimizers.lars import LarsTrustRatio
from ..optimizers.prodigy import ProdigyDirection
from ..optimizers.rprop import RpropDirection
from ..optimizers.sophia import DivideByHessian
from ..optimizers.spam import SpikeClip
from ..optimizers.stable_adamw import UpdateClipping
from ..parts.denominators import Eps
from .said_of_moments import average, hat
from .said_of_parts import decay_of
from .writing import (
    Writer,
    factor,
    number,
    of,
    rest_of,
    says,
    template,
    times,
)

template(
    DogDirection,
    """{@distance} ← max({@distance}, {init_distance} (1 + ‖{@start}‖), ‖θ - {@start}‖)
    {@sum_of_square_norms} ← {@sum_of_square_norms} + ‖{u}‖²
    {@distance} {u} / sqrt({@sum_of_square_norms} + {eps})""",
)
template(
    DowgDirection,
    """{@square_distance} ← max({@square_distance}, {init_estim_sq_dist}, \
‖θ - {@start}‖²)
    {@weighted_sum} ← {@weighted_sum} + {@square_distance} ‖{u}‖²
    {@square_distance} {u} / (sqrt({@weighted_sum}) + {eps})""",
)


def _rate_with_d(rule: Any, w: Writer) -> None:
    """Write the rate with the distance d and Adam's correction."""
    d = w.slot("d")
    rate = of(rule, "learning_rate")
    one, two = w.slot("b1_weight"), w.slot("b2_weight")
    for field, total in (("b1", one), ("b2", two)):
        rest = rest_of(rule, field)
        w.line(f"{total} ← {total} + {rest} (1 - {total})")
    corrected = f" sqrt({two}) / {one}" if rule.bias_correction else ""
    factors = d if rate == "1" else f"{d} · {rate}"
    w.line(f"before the first step:  {d} = {of(rule, 'estim_lr0')}")
    w.line(f"η = {factors}{corrected}")


@says(DAdaptDirection)
def _dadapt(rule: Any, w: Writer, u: str) -> str:
    m, v, s, r, d = map(w.slot, ("mu", "nu", "s", "r", "d"))
    _rate_with_d(rule, w)
    w.line(f"β = sqrt({of(rule, 'b2')})")
    eps = "" if is_zero(rule.eps) else f" + {of(rule, 'eps')}"
    w.line(f"{r} ← β {r} + (1 - β) η ⟨{u}, {s} / (sqrt({v}){eps})⟩")
    w.line(f"{m} ← {average(rule, 'b1', m, f'η {factor(u)}')}")
    w.line(f"{v} ← {average(rule, 'b2', v, f'{factor(u)}²')}")
    w.line(f"{s} ← β {s} + (1 - β) η {factor(u)}")
    w.line(f"{d} ← max({d}, {r} / ((1 - β) ‖{s}‖₁))")
    done = f"{m} / (sqrt({v}){eps})"
    pull = decay_of(rule, w, "u")
    return f"{w.named('u', done)} + η {pull}" if pull else done


@says(ProdigyDirection)
def _prodigy(rule: Any, w: Writer, u: str) -> str:
    m, v, s, r, d = map(w.slot, ("mu", "nu", "s", "r", "d"))
    start = w.slot("start")
    _rate_with_d(rule, w)
    if rule.b3 is None:
        w.line(f"β = sqrt({of(rule, 'b2')})")
    b3 = "β" if rule.b3 is None else of(rule, "b3")
    w.line(f"{m} ← {average(rule, 'b1', m, f'{d} {factor(u)}')}")
    w.line(f"{v} ← {average(rule, 'b2', v, f'{d}² {factor(u)}²')}")
    w.line(f"{r} ← {b3} {r} + {d} η ⟨{u}, {start} - θ⟩")
    weight = f"{d}²" if rule.safeguard_warmup else f"{d} η"
    w.line(f"{s} ← {b3} {s} + {weight} {factor(u)}")
    w.line(f"d' = max({d}, {times(of(rule, 'estim_lr_coef'), r)} / ‖{s}‖₁)")
    below = f"sqrt({v})" + ("" if is_zero(rule.eps) else f" + d' · {of(rule, 'eps')}")
    done = w.named("u", f"{m} / {factor(below)}")
    w.line(f"{d} ← d'")
    pull = decay_of(rule, w, "u")
    return f"η ({done} + {pull})" if pull else f"η {done}"


@says(LarsTrustRatio)
def _lars(rule: Any, w: Writer, u: str) -> str:
    pull = decay_of(rule, w, u)
    total = w.named("q", f"{u} + {pull}") if pull else u
    below = f"‖{total}‖" if rule.norm_of_sum or not pull else f"‖{u}‖ + ‖{pull}‖"
    eps = "" if is_zero(rule.eps) else f" + {of(rule, 'eps')}"
    w.line(f"η = {of(rule, 'trust_coefficient')} ‖θ‖ / {factor(below + eps)}")
    w.line("where a norm is 0:  η = 1")
    if rule.trust_ratio_mask is not None:
        w.line(f"other leaves than `{rule.trust_ratio_mask!r}`:  η = 1")
    return f"η {factor(total)}"


@says(HessianRoot)
def _hessian_root(rule: Any, w: Writer, u: str) -> str:
    h = "|h|" if rule.magnitude else "h"
    name = getattr(rule.average, "__name__", type(rule.average).__name__)
    given = "h" if rule.average is None else "D"
    w.line("h = the estimate of the diagonal of the Hessian")
    if rule.average is not None:
        w.line(f"D = `{name}`({h})")
    elif rule.magnitude:
        given = "|h|"
    v = w.part(rule.moment, given)
    power = rule.hessian_power
    root = f"sqrt({v})"
    if power != 1.0:
        root = f"({root})^({of(rule, 'hessian_power')})"
    return f"{root} + {of(rule, 'eps')}"


@says(CorrectedDecay)
def _corrected_decay(rule: Any, w: Writer, u: str) -> str:
    rate = of(rule, "learning_rate")
    pull = decay_of(rule, w, u)
    if not pull:
        return f"-{rate} {factor(u)}"
    most = of(rule, "max_learning_rate")
    if rule.normalized is not None:
        w.line(f"leaves of `{rule.normalized!r}`:  c = {rate} / {most}")
        w.line("otherwise:  c = 1")
    else:
        w.line(f"c = {rate} / {most}")
    return f"-{rate} ({u} + c · {pull})"


@says(AdampProjection)
def _adamp(rule: Any, w: Writer, u: str) -> str:
    p = w.named("p", w.part(rule.part, u))
    pull = decay_of(rule, w, p)
    eps = "" if is_zero(rule.eps_norm) else f" + {of(rule, 'eps_norm')}"
    w.line(f"e = θ / {factor(f'‖θ‖{eps}')}")
    less = f"|cos(θ, {u})| < {of(rule, 'delta')} / sqrt(dim)"
    share = f" + {of(rule, 'wd_ratio')} {pull}" if pull else ""
    with w.when(f"tensors of two axes or more, by channel of axis {rule.channel_axis}"):
        w.line(f"{less}:  q = {p} - ⟨e, {p}⟩ e{share}")
        w.line(f"otherwise:  q = {p}{f' + {pull}' if pull else ''}")
    with w.when("other leaves"):
        w.line(f"q = {p}{f' + {pull}' if pull else ''}")
    return "q"


@says(RpropDirection)
def _rprop(rule: Any, w: Writer, u: str) -> str:
    size, before = w.slot("step_size"), w.slot("gradient_before")
    low, high = of(rule, "min_step_size"), of(rule, "max_step_size")
    unit = ""
    if hasattr(rule.rate, "learning_rate"):
        unit = f" / {of(rule.rate, 'learning_rate')}"
    w.line(
        f"{u} {before} > 0:  {size} ← min({of(rule, 'eta_plus')} {size}, {high}{unit})"
    )
    w.line(
        f"{u} {before} < 0:  {size} ← max({of(rule, 'eta_minus')} {size}, {low}{unit})"
        + (f",   {u} ← 0" if rule.pause else "")
    )
    w.line(f"before the first step:  {size} = 1")
    w.line(f"c = sign({u}) {size}")
    w.line(f"{before} ← {u}")
    if rule.backtrack:
        step = w.slot("step_before")
        w.line(f"where {u} {before} < 0:  c = -{step}")
        w.line(f"{step} ← c")
    return w.part(rule.rate, "c")


@says(DivideByHessian)
def _divide_by_hessian(rule: Any, w: Writer, u: str) -> str:
    m, h = w.part(rule.moment, u), w.slot("hessian")
    every = f"each {rule.update_interval} steps:  " if rule.update_interval > 1 else ""
    new = "the estimate of the diagonal of the Hessian"
    w.line(f"{every}{h} ← {of(rule, 'b2')} {h} + {rest_of(rule, 'b2')} ĥ")
    w.line(f"ĥ = {new}")
    return f"{m} / max({of(rule, 'gamma')} {h}, {of(rule, 'eps')})"


@says(SpikeClip)
def _spike_clip(rule: Any, w: Writer, u: str) -> str:
    v, limit = w.slot(rule.slot), of(rule, "threshold")
    since = "t" if rule.every is None else f"the step since each {rule.every}-th"
    w.line(f"c = {u}")
    w.line(
        f"{u}² > {limit} {v}:  c = sign({u}) sqrt({limit} {v}),   "
        f"once {since} is at least {number(rule.warmup)}"
    )
    return "c"


@says(UpdateClipping)
def _update_clipping(rule: Any, w: Writer, u: str) -> str:
    m, d = w.part(rule.moment, u), w.part(rule.denominator, u)
    second, eps = rule.denominator.moment, rule.denominator.eps
    owner = eps if isinstance(eps, Eps) else rule.denominator
    v = w.slot(second.name)
    if second.name in w.weights and w.weights[second.name] != "1":
        v = hat(v)
    w.line(f"ρ = RMS({u} / max(sqrt({v}), {of(owner, 'eps')}))")
    pull = decay_of(rule, w, "u")
    done = w.named("u", f"{m} / {factor(d)}")
    return f"{f'({done} + {pull})' if pull else done} / max(1, ρ)"
