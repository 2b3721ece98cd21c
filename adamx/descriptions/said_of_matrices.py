"""What rules on matrices say, of single optimizers."""

from collections.abc import Iterator
from typing import Any

from ..engine.hyperparams import is_constant, is_zero
from ..optimizers.apollo import ApolloScaling
from ..optimizers.dion import LowRankOrthogonal
from ..optimizers.dion2 import LargestSlices
from ..optimizers.fira import FiraResidual
from ..optimizers.galore import GaloreProjection
from ..optimizers.kl_soap import KlSoapDirection
from ..optimizers.muown import MuownStep
from ..optimizers.normuon import NeuronEma
from ..optimizers.psgd_kron import KronWhitening
from ..optimizers.scion import SignOverInputs, SpectralRadius
from ..optimizers.shampoo import (
    AveragedShampooPreconditioner,
    CorrectedShampooPreconditioner,
    ShampooPreconditioner,
)
from ..optimizers.soap import SameAsB2, SoapDirection
from ..optimizers.splus import ScaleBySides, SignInEigenbasis
from ..parts.denominators import Eps
from .said_of_moments import average, hat, plus_eps, weight
from .said_of_parts import decay_of
from .writing import (
    Writer,
    bare,
    factor,
    number,
    of,
    rest_of,
    says,
    template,
    times,
)

template(
    KronWhitening,
    """first step:  {@left_factor}, {@right_factor} diagonal, the product {init_scale}
    H = {u} + {damping} mean(|{u}|) V,   V of N(0, 1)
    {@waited} ← {@waited} + 1,   or 0 where that is at least 1 / {probability}
    A = {@left_factor} H {@right_factor}ᵀ,   {@left_factor}ᵀ B {@right_factor} = V
    where {@waited} = 0:  {@left_factor} ← {@left_factor} - {rate} \
triu(A Aᵀ - B Bᵀ) / ‖A Aᵀ + B Bᵀ‖₂ {@left_factor}
    where {@waited} = 0:  {@right_factor} ← {@right_factor} - {rate} \
triu(Aᵀ A - Bᵀ B) / ‖Aᵀ A + Bᵀ B‖₂ {@right_factor}
    {@left_factor}ᵀ {@left_factor} {u} {@right_factor}ᵀ {@right_factor}""",
)
template(
    NeuronEma,
    """{@name} ← {decay} {@name} + {1-decay} mean over the inputs of {u}²
    {@name}""",
)


@says(SignOverInputs)
def _sign_over_inputs(rule: Any, w: Writer, u: str) -> str:
    return f"{times(of(rule, 'radius'), f'sign({u})')} / in"


@says(SpectralRadius)
def _spectral_radius(rule: Any, w: Writer, u: str) -> str:
    return times(of(rule, "radius"), f"sqrt(out / in) {factor(u)}")


def _sides(rule: Any) -> list[tuple[str, str]]:
    """Return the sides that a rule has statistics for, with X Xᵀ of each."""
    both = [("left", "{} {}ᵀ"), ("right", "{}ᵀ {}")]
    wanted = {"left": both[:1], "right": both[1:]}
    return wanted.get(rule.one_sided or "", both)


def _said_sides(rule: Any) -> Iterator[str]:
    if rule.one_sided == "smaller":
        yield "only the smaller of the two sides"
    if rule.block_size is not None:
        yield f"blocks of {rule.block_size}"
    if rule.max_dim is not None:
        yield f"sides of at most {rule.max_dim}"


def _said_of_tensors(rule: Any, w: Writer, more: str = "") -> None:
    """Write that the axes of a tensor have statistics each, or merged axes."""
    if rule.merge_dims is None:
        return
    if rule.merge_dims:
        with w.when("leaves of two axes or more"):
            w.line(f"neighbouring axes are merged, up to a product of {rule.max_dim}")
    with w.when("tensors of more axes"):
        w.line(f"the same along each axis, with a statistic of its own{more}")


def _matrices(rule: Any) -> str:
    return ", ".join(("matrices", *_said_sides(rule)))


@says(
    ShampooPreconditioner, AveragedShampooPreconditioner, CorrectedShampooPreconditioner
)
def _shampoo(rule: Any, w: Writer, u: str) -> str:
    roots, eps = [], of(rule, "eps")
    power = "-1/4" if rule.one_sided is None else "-1/2"
    power = power if rule.exponent is None else number(rule.exponent)
    with w.when(_matrices(rule)):
        total = ""
        if type(rule) is CorrectedShampooPreconditioner:
            total = weight(rule, "b2", "statistics_weight", w)
        for side, form in _sides(rule):
            x = w.slot(side)
            square = form.format(u, u)
            read = x
            if type(rule) is ShampooPreconditioner:
                w.line(f"{x} ← {x} + {square},   {eps} I at first")
            else:
                w.line(f"{x} ← {average(rule, 'b2', x, square)}")
                scaled = f"{x} / {factor(total)}" if total else x
                read = w.named(hat(x), f"{scaled} + {eps} I")
            root = f"{read}^({power})"
            if rule._keeps_roots():
                kept = w.slot(f"{side}_root")
                every = f"each {rule.precondition_frequency} steps"
                start = f", from step {rule.start_preconditioning_step}"
                w.line(f"{every}{start}:  {kept} ← {root}")
                root = kept
            roots.append(root)
        before = roots[0] if _sides(rule)[0][0] == "left" else ""
        after = roots[-1] if _sides(rule)[-1][0] == "right" else ""
        w.line(f"u = {' '.join(x for x in (before, u, after) if x)}")
    fixed = "" if rule.exponent is not None else ",   and the power -1/(2 k) of k axes"
    _said_of_tensors(rule, w, fixed)
    with w.when("vectors"):
        w.line(f"the same with one side, of {u} {u}ᵀ, and the power -1/2")
    return "u"


def _basis_refresh(rule: Any, w: Writer, side: str, every: str, exact: bool) -> None:
    """Write how the basis of a side follows its statistic."""
    x, q = w.slot(side), w.slot(f"{side}_basis")
    if exact:
        w.line(f"{every}:  {q} ← the eigenvectors of {x}")
        return
    order = ", its columns in the order of the eigenvalues" if rule.sort else ""
    w.line(f"first step:  {q} ← the eigenvectors of {x}")
    w.line(f"{every}:  {q} ← QR({x} {q}){order}")


def _rotation(rule: Any, w: Writer) -> tuple[str, str]:
    names = [side for side, _ in _sides(rule)]
    left = w.slot("left_basis") if "left" in names else ""
    right = w.slot("right_basis") if "right" in names else ""
    return left, right


def _around(left: str, x: str, right: str) -> str:
    return " ".join(part for part in (left, x, right) if part)


@says(SoapDirection, KlSoapDirection)
def _soap(rule: Any, w: Writer, u: str) -> str:
    m, v = w.slot("mu"), w.slot("nu")
    kl = type(rule) is KlSoapDirection
    same = isinstance(rule.shampoo_beta, SameAsB2)
    field = "b2" if same else "shampoo_beta"
    left, right = _rotation(rule, w)
    w.line(f"{m} ← {average(rule, 'b1', m, u)}")
    names = ["m̂", "v̂"] if rule.bias_correction else [m, v]
    with w.when(_matrices(rule)):
        turned = _around(f"{left}ᵀ" if left else "", u, right)
        w.line(f"{v} ← {average(rule, 'b2', v, f'({turned})²')}")
        if rule.bias_correction:
            _corrected(rule, w, m, v)
        onto = _around(f"{left}ᵀ" if left else "", names[0], right)
        root = plus_eps(rule.eps, rule, names[1], "w")
        inner = f"({onto} / {factor(root)})"
        w.line(f"u = {_around(left, inner, f'{right}ᵀ' if right else '')}")
        for side, form in _sides(rule):
            x = w.slot(side)
            square = form.format(u, u)
            if kl:
                other = "right" if side == "left" else "left"
                values, basis = w.slot(f"{other}_values"), w.slot(f"{other}_basis")
                inverse = f"{basis} {values}^(-1) {basis}ᵀ"
                a, b = (u, f"{u}ᵀ") if side == "left" else (f"{u}ᵀ", u)
                square = f"{a} {inverse} {b} / dim"
            w.line(f"{x} ← {average(rule, field, x, square)}")
            if kl:
                mine = w.slot(f"{side}_values")
                q = w.slot(f"{side}_basis")
                limit = number(rule.max_clamp_value)
                w.line(f"before the first step:  {mine} = {number(rule.init_factor)}")
                spread = f"diag({q}ᵀ ({square}) {q})"
                w.line(f"{mine} ← {average(rule, field, mine, spread)}")
                w.line(
                    f"{mine} ← max({mine}, c^(-2)),   c = max(10, min(dim, {limit}))"
                )
            every = f"each {rule.precondition_frequency} steps"
            _basis_refresh(rule, w, side, every, exact=False)
    _said_of_tensors(rule, w)
    with w.when("other leaves: Adam, in no basis" if not rule.precondition_1d else
                "scalars: Adam, in no basis"):  # fmt: skip
        w.line(f"{v} ← {average(rule, 'b2', v, f'{factor(u)}²')}")
        root = plus_eps(rule.eps, rule, names[1], "w")
        w.line(f"u = {names[0]} / {factor(root)}")
    pull = decay_of(rule, w, u)
    w.line("first step:  u = 0,   only the bases are set")
    return f"u + {pull}" if pull else "u"


def _corrected(rule: Any, w: Writer, m: str, v: str) -> None:
    """Write the corrections of SOAP's averages, from the second gradient on."""
    for field, symbol, name in (("b1", m, "mu"), ("b2", v, "nu")):
        if is_constant(getattr(rule, field)):
            total = f"(1 - {of(rule, field)}^(t - 1))"
        else:
            total = w.slot(f"{name}_weight")
            rest = rest_of(rule, field)
            w.line(f"{total} ← {total} + {rest} (1 - {total})")
        w.line(f"{hat(symbol)} = {symbol} / {total}")
        if name == "nu" and isinstance(rule.eps, Eps):
            w.line(f"w = {total}")


@says(SignInEigenbasis)
def _splus(rule: Any, w: Writer, u: str) -> str:
    m = w.slot("mu")
    left, right = _rotation(rule, w)
    w.line(f"{m} ← {average(rule, 'b1', m, u)}")
    with w.when(_matrices(rule)):
        onto = _around(f"{left}ᵀ" if left else "", m, right)
        back = _around(left, f"sign({onto})", f"{right}ᵀ" if right else "")
        w.line(f"u = {back}")
        for side, form in _sides(rule):
            x = w.slot(side)
            w.line(f"{x} ← {average(rule, 'b2', x, form.format(u, u))}")
            every = f"each {rule.inverse_every} steps, and at the first"
            _basis_refresh(rule, w, side, every, exact=True)
    with w.when("other leaves"):
        w.line(f"u = sign({m})")
    return "u"


@says(ScaleBySides)
def _scale_by_sides(rule: Any, w: Writer, u: str) -> str:
    with w.when(f"matrices (m, n) with sides of at most {rule.max_dim}"):
        w.line("c = 2 / (m + n)")
    with w.when("other leaves"):
        w.line(f"c = {of(rule, 'nonstandard_constant')}")
    return f"c {factor(u)}"


def _projected(rule: Any, w: Writer, u: str) -> tuple[str, str, str]:
    """Write R = Pᵀ G and what the part makes of it, N."""
    if type(rule) is ApolloScaling:
        p = "P"
        w.line(
            f"each {rule.update_proj_gap} steps:  P ~ N(0, 1 / {rule.rank}), "
            f"of the seed {rule.seed}"
        )
    else:
        p = w.slot("projection")
        w.line(
            f"each {rule.update_proj_gap} steps:  {p} ← the first {rule.rank} left "
            f"singular vectors of {u}"
        )
    w.line(f"r = {p}ᵀ {u}")
    n = w.named("n", w.part(rule.part, "r"))
    return p, "r", n


@says(GaloreProjection)
def _galore(rule: Any, w: Writer, u: str) -> str:
    with w.when("matrices with sides above the rank; the part alone for other leaves"):
        p, _, n = _projected(rule, w, u)
        w.line(f"u = {_scaled(rule, f'{p} {n}')}")
    return "u"


def _scaled(rule: Any, product: str) -> str:
    scale = of(rule, "scale")
    return product if scale == "1" else f"{scale} {product}"


def _limited(rule: Any, w: Writer) -> None:
    length, eps = w.slot("length"), of(rule, "eps_norm")
    if rule.growth is not None:
        most = of(rule, "growth")
        w.line(f"s ← {most} s / max(‖s‖ / ({length} + {eps}), {most})")
    w.line(f"{length} ← ‖s‖")


@says(FiraResidual)
def _fira(rule: Any, w: Writer, u: str) -> str:
    with w.when("matrices with sides above the rank; the part alone for other leaves"):
        p, r, n = _projected(rule, w, u)
        eps = of(rule, "eps_norm")
        n_said, c = _uncorrected(rule, w, n)
        inside = _scaled(rule, f"{p} {r}") if rule.released else f"{p} {r}"
        w.line(f"s = ({u} - {inside}) diag(‖{n_said}‖ / (‖{r}‖ + {eps})), by column")
        _limited(rule, w)
        if rule.released:
            w.line(f"u = {_scaled(rule, f'{p} {n}')} + {c} s")
        else:
            w.line(f"u = {_scaled(rule, f'({p} {n} + s)')}")
    return "u"


def _uncorrected(rule: Any, w: Writer, n: str) -> tuple[str, str]:
    """Return N before its bias correction c, and c, in the form of authors' codes."""
    if not rule.released:
        return n, ""
    one, two = (
        factor(w.weights[w_name]) for w_name in (rule.part.moment.name,
                                                 rule.part.by.moment.name)
    )  # fmt: skip
    w.line(f"c = sqrt({bare(two)}) / {one}")
    return f"{n} / c", "c"


@says(ApolloScaling)
def _apollo(rule: Any, w: Writer, u: str) -> str:
    with w.when("matrices with sides above the rank; the part alone for other leaves"):
        _, r, n = _projected(rule, w, u)
        eps = of(rule, "eps_norm")
        n_said, c = _uncorrected(rule, w, n)
        ratio = f"‖{n_said}‖ / (‖{r}‖ + {eps})"
        of_all = "of the tensor" if rule.by_tensor else "by column"
        scale = ratio if rule.by_tensor else f"diag({ratio})"
        w.line(f"s = {u} {factor(scale)}, {of_all}")
        _limited(rule, w)
        w.line(f"u = {_scaled(rule, f'{c} s'.strip())}")
    return "u"


@says(LowRankOrthogonal)
def _dion(rule: Any, w: Writer, u: str) -> str:
    m, q = w.slot("momentum"), w.slot("right_factor")
    eps = "" if is_zero(rule.eps) else f" + {of(rule, 'eps')}"
    way = "a randomised Cholesky QR" if rule.randomized else "QR"
    share = number(rule.rank_fraction)
    w.line(f"B = {m} + {u}")
    w.line(f"P = the orthogonal factor of B {q}, by {way},   {share} of the side")
    w.line("R = Bᵀ P")
    w.line(f"{q} ← R / (‖columns of R‖{eps})")
    w.line(f"{m} ← B - {rest_of(rule, 'mu')} P Rᵀ")
    return f"P {q}ᵀ"


@says(LargestSlices)
def _dion2(rule: Any, w: Writer, u: str) -> str:
    m = w.slot("momentum")
    share = number(rule.fraction)
    w.line(f"{m} ← {m} + {u}")
    w.line(f"K = the slices of {m} with the largest sums |{m}|,   {share} of the side")
    done = w.part(rule.part, f"{m}_K")
    w.line(f"{m}_K ← {of(rule, 'mu')} {m}_K")
    w.line(f"u_K = {done},   0 elsewhere")
    return "u"


@says(MuownStep)
def _muown(rule: Any, w: Writer, u: str) -> str:
    g, length = w.slot("magnitude"), w.slot("direction_norm")
    rate = of(rule, "learning_rate")
    w.line(f"V = {length} θ / {g}, by neuron;   {g} = ‖θ‖, {length} = ‖V‖ at first")
    w.line(f"h, H = the gradients by {g} and V, of {u}")
    inner = w.short("B", w.part(rule.momentum, "H"))
    o = w.named("O", w.part(rule.orthogonal, inner))
    a = w.named("a", w.part(rule.adam, "h"))
    w.line(f"V ← V - {rate} {o},   {length} ← ‖V‖")
    w.line(f"{g} ← {g} - {rate} {a}")
    pull = decay_of(rule, w, f"(θ - {g} V / {length})")
    after = f" - {rate} {pull}" if pull else ""
    w.line(f"θ' = {g} V / {length}{after}")
    if pull:
        w.line(f"{g} ← ‖θ'‖")
    return "θ' - θ"
