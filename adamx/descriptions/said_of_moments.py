"""What moments, their corrections and denominators say."""

from typing import Any

from ..engine.hyperparams import Schedule, is_constant, is_zero
from ..parts.bias_correction import Debiased, Rectified
from ..parts.denominators import (
    Eps,
    EpsAsFloor,
    EpsBeforeCorrection,
    EpsInsideRoot,
    EpsOutsideRoot,
    Precondition,
    RootPlusEps,
)
from ..parts.factored import FactoredSecondMoment, PowerDecaySchedule
from ..parts.moments import (
    Centered,
    Ema,
    Identity,
    InitFromFirst,
    MomentRule,
    Momentum,
    RunningMax,
    SquaredDeviation,
    Sum,
    gradient,
    square,
)
from ..parts.nesterov import Ahead, LookAhead, Nesterov, one_step_ahead
from .writing import (
    Writer,
    factor,
    numerator,
    of,
    rest_of,
    says,
    term,
    times,
    value_text,
)


def source(moment: Any) -> Any:
    """Return the average inside of what stands around it."""
    while isinstance(moment, MomentRule):
        moment = moment.moment
    return moment


def hat(symbol: str) -> str:
    """Return the symbol of a corrected moment."""
    return symbol if symbol.startswith("`") else f"{symbol[0]}\u0302{symbol[1:]}"


def statistic(reading: Any, w: Writer, u: str) -> str:
    """Return a statistic of the gradient."""
    if reading is gradient:
        return u
    if reading is square:
        return f"{factor(u)}²"
    if isinstance(reading, SquaredDeviation):
        return f"({u} - {w.slot(reading.slot)})²"
    return f"`{getattr(reading, '__name__', type(reading).__name__)}`({u})"


def average(owner: Any, field: str, past: str, new: str) -> str:
    """Return β past + (1 - β) new."""
    h = getattr(owner, field)
    if is_zero(h):
        return new
    return f"{of(owner, field)} {past} + {times(rest_of(owner, field), new)}"


def plus_eps(eps: Any, owner: Any, v: str, weight: str) -> str:
    """Return the root of v with ε, which is a number of `owner` or a kind."""
    if not isinstance(eps, Eps):
        eps_text = of(owner, "eps")
        if getattr(owner, "inside", False):
            return f"sqrt({v})" if is_zero(eps) else f"sqrt({v} + {eps_text})"
        return f"sqrt({v})" if is_zero(eps) else f"sqrt({v}) + {eps_text}"
    if isinstance(eps, EpsInsideRoot):
        inner = "" if is_zero(eps.eps_root) else f" + {of(eps, 'eps_root')}"
        outer = "" if is_zero(eps.eps) else f" + {of(eps, 'eps')}"
        return f"sqrt({v}{inner}){outer}"
    if isinstance(eps, EpsAsFloor):
        return f"max(sqrt({v}), {of(eps, 'eps')})"
    if isinstance(eps, EpsBeforeCorrection):
        share = f"{of(eps, 'eps')} / sqrt({weight})"
        return f"sqrt({v}) + {of(eps, 'eps') if weight == '1' else share}"
    if isinstance(eps, EpsOutsideRoot):
        return f"sqrt({v}) + {of(eps, 'eps')}"
    return f"`{type(eps).__name__}`({v})"


def weight(decay_owner: Any, field: str, slot: str, w: Writer) -> str:
    """Return the sum of the weights in an average; write it if it is a slot."""
    decay = getattr(decay_owner, field)
    if is_constant(decay):
        return "1" if decay == 0 else f"1 - {of(decay_owner, field)}ᵗ"
    symbol = w.slot(slot)
    w.line(f"{symbol} ← {symbol} + {rest_of(decay_owner, field)} (1 - {symbol})")
    return symbol


@says(Identity)
def _identity(rule: Any, w: Writer, u: str) -> str:
    return u


@says(Ema)
def _ema(rule: Any, w: Writer, u: str) -> str:
    m = w.slot(rule.name)
    w.line(f"{m} ← {average(rule, 'decay', m, statistic(rule.of, w, u))}")
    return m


@says(Momentum)
def _momentum(rule: Any, w: Writer, u: str) -> str:
    m, mu = w.slot(rule.name), of(rule, "momentum")
    if is_zero(rule.dampening):
        w.line(f"{m} ← {mu} {m} + {term(u)}")
    else:
        rest = times(rest_of(rule, "dampening"), u)
        w.line(f"first step:  {m} ← {u}")
        w.line(f"then:  {m} ← {mu} {m} + {rest}")
    return f"{u} + {mu} {m}" if rule.nesterov else m


@says(Sum)
def _sum(rule: Any, w: Writer, u: str) -> str:
    s = w.slot(rule.name)
    w.line(f"{s} ← {s} + {statistic(rule.of, w, u)}")
    if not is_zero(rule.start):
        w.line(f"before the first step:  {s} = {of(rule, 'start')}")
    return s


@says(Centered)
def _centered(rule: Any, w: Writer, u: str) -> str:
    v, m = w.part(rule.square, u), w.part(rule.mean, u)
    return f"max({v} - {factor(m)}², 0)"


@says(InitFromFirst)
def _init_from_first(rule: Any, w: Writer, u: str) -> str:
    moment = rule.moment
    if type(moment) is not Ema:
        inner = w.part(moment, u)
        w.line(f"first step:  {inner} ← {statistic(moment.of, w, u)}")
        return inner
    m, f = w.slot(moment.name), statistic(moment.of, w, u)
    w.line(f"first step:  {m} ← {f}")
    w.line(f"then:  {m} ← {average(moment, 'decay', m, f)}")
    return m


@says(RunningMax)
def _running_max(rule: Any, w: Writer, u: str) -> str:
    v, largest = w.part(rule.moment, u), w.slot(f"{rule.name}_max")
    w.line(f"{largest} ← max({largest}, {v})")
    return largest


@says(Debiased)
def _debiased(rule: Any, w: Writer, u: str) -> str:
    m = w.part(rule.moment, u)
    inner = source(rule)
    total = weight(inner, "decay", f"{rule.name}_weight", w)
    w.weights[rule.name] = total
    if total == "1":
        return m
    symbol = m if m.isalnum() or ("_" in m and " " not in m) else w.slot(rule.name)
    return w.named(hat(symbol), f"{numerator(m)} / {factor(total)}")


@says(LookAhead)
def _look_ahead(rule: Any, w: Writer, u: str) -> str:
    m = w.part(rule.moment, u)
    return average(source(rule), "decay", m, u)


@says(Nesterov)
def _nesterov(rule: Any, w: Writer, u: str) -> str:
    corrected, inner = rule.moment, source(rule.moment)
    m = w.part(getattr(corrected, "moment", corrected), u)
    total = weight(inner, "decay", f"{corrected.name}_weight", w)
    w.weights[corrected.name] = total
    now, rest = of(inner, "decay"), times(rest_of(inner, "decay"), u)
    if is_constant(inner.decay):
        first = f"{now} {m} / (1 - {now}ᵗ⁺¹)"
    else:
        after = now
        if isinstance(rule.ahead, Ahead):
            after = "μ'"
            w.line(f"μ' = {_next(rule.ahead)}")
        first = f"{after} {m} / (1 - {after} (1 - {total}))"
    return w.named(hat(m), f"{first} + {rest} / {factor(total)}")


def _next(ahead: Ahead) -> str:
    decay = ahead.decay
    if isinstance(decay, Schedule) and decay.factory is one_step_ahead:
        return value_text(dict(decay.arguments)["schedule"], "b1")[:-2] + "t + 1)"
    return of(ahead, "decay")


@says(RootPlusEps)
def _root_plus_eps(rule: Any, w: Writer, u: str) -> str:
    v = w.part(rule.moment, u)
    name = getattr(rule.moment, "name", "")
    return plus_eps(rule.eps, rule, v, w.weights.get(name, "1"))


@says(Rectified)
def _rectified(rule: Any, w: Writer, u: str) -> str:
    d = w.part(rule.denominator, u)
    inner = source(rule.denominator.moment)
    b, limit = of(inner, "decay"), of(rule, "threshold")
    w.line(f"ρ_∞ = 2 / {factor(rest_of(inner, 'decay'))} - 1")
    w.line(f"ρ_t = ρ_∞ - 2 t · {b}ᵗ / (1 - {b}ᵗ)")
    w.line("r_t² = (ρ_t - 4)(ρ_t - 2) ρ_∞ / ((ρ_∞ - 4)(ρ_∞ - 2) ρ_t)")
    w.line(f"ρ_t > {limit}:  D = {factor(d)} / r_t")
    w.line(f"otherwise:  D = {'∞' if rule.skip else '1'}")
    return "D"


@says(Precondition)
def _precondition(rule: Any, w: Writer, u: str) -> str:
    m = w.part(rule.moment, u)
    by = w.part(rule.by, u)
    return f"{numerator(m)} / {factor(by)}"


@says(FactoredSecondMoment)
def _factored(rule: Any, w: Writer, u: str) -> str:
    r, c = w.slot(f"{rule.name}_row"), w.slot(f"{rule.name}_col")
    if isinstance(rule.decay, PowerDecaySchedule):
        decay = f"(1 - t^(-{value_text(rule.decay.decay_rate, 'decay_rate')}))"
        rest = f"t^(-{value_text(rule.decay.decay_rate, 'decay_rate')})"
    else:
        decay, rest = of(rule, "decay"), rest_of(rule, "decay")
    f = statistic(rule.of, w, u)
    inside = f if is_zero(rule.eps) else f"({f} + {of(rule, 'eps')})"
    v = w.slot(rule.name)
    sizes = f"matrices with sides of at least {rule.min_dim_size_to_factor}"
    if rule.axes is not None:
        rows, columns = (
            ", ".join(map(str, x)) for x in (rule.axes.rows, rule.axes.columns)
        )
        sizes += f"; of more than two axes, rows are {rows} and columns {columns}"
    with w.when(sizes):
        w.line(f"{r} ← {decay} {r} + {rest} mean over columns of {factor(inside)}")
        w.line(f"{c} ← {decay} {c} + {rest} mean over rows of {factor(inside)}")
        w.line(f"{v} = {r} {c}ᵀ / mean({r})")
    with w.when("other leaves"):
        if rule.keep_whole:
            w.line(f"{v} ← {decay} {v} + {rest} {factor(inside)}")
        else:
            w.line(f"{v} = 1")
    return v
