"""The equations of docstrings, as LaTeX."""

import ast
import textwrap
from pathlib import Path

import pytest

from adamx.descriptions import equations
from adamx.descriptions.formula import latex
from docs._ext import sections

ROOT = Path(__file__).resolve().parents[2]

FORMULAS = {
    "m ← β₁ m + (1 - β₁) g": (r"m \leftarrow \beta_{1} m + (1 - \beta_{1}) g"),
    "m̂ = m / (1 - β₁ᵗ)": r"\hat{m} = \frac{m}{1 - \beta_{1}^{t}}",
    "θ ← θ - α m̂ / (sqrt(v̂) + ε)": (
        r"\theta \leftarrow \theta - "
        r"\frac{\alpha \hat{m}}{\sqrt{\hat{v}} + \varepsilon}"
    ),
    # `/` takes one factor on its right, and all of the product on its left.
    "α φ(‖θ‖) / ‖u‖ u": (
        r"\frac{\alpha \varphi(\lVert \theta \rVert)}{\lVert u \rVert } u"
    ),
    "a / b / (c + d)": r"\frac{a}{b (c + d)}",
    "α m · m² / d": r"\alpha m \cdot \frac{m^{2}}{d}",
    "(1 - t/T) x": r"(1 - t / T) x",
    # Indices and powers in each notation.
    "β**t": r"\beta^{t}",
    "β₂ᵗ⁻ⁿ": r"\beta_{2}^{t-n}",
    "g²_{t-n}": r"g_{t - n}^{2}",
    "t^-c": r"t^{-c}",
    "L^(-1/4) G": r"L^{- 1 / 4} G",
    "(x + y)**(2 p)": r"(x + y)^{2 p}",
    "‖s‖₁": r"\lVert s \rVert _{1}",
    "η* + g'": r"\eta^{*} + g^{\prime}",
    "ρ_∞ + v_max": r"\rho_{\infty} + v_{\text{max}}",
    "10⁻³": r"10^{-3}",
    # Functions, sums, and what runs over something.
    "max(β u, |g| + ε)": r"\max(\beta u ,\; \lvert g \rvert  + \varepsilon)",
    "Σ_{i<n} β₁ⁱ g_{t-i} / Σ_{i<n} β₁ⁱ": (
        r"\frac{\sum_{i < n} \beta_{1}^{i} g_{t - i}}{\sum_{i < n} \beta_{1}^{i}}"
    ),
    "max over i in r of ν_i": r"\max_{i\ \text{in}\ r} \nu_{i}",
    "1(u g > 0)": r"\mathbf{1}(u g > 0)",
    "log β_start": r"\log \beta_{\text{start}}",
    "t mod ΔT": r"t \bmod \Delta T",
    "⟨g, s⟩": r"\langle g ,\; s\rangle",
    # Words.
    "the mean of η² over all parameters": (
        r"\text{the mean of}\ \eta^{2}\ \text{over all parameters}"
    ),
    "m̂ as in `adam_mini`": r"\hat{m}\ \text{as in }\mathtt{adam\_mini}",
    "a sum": r"\text{a sum}",
    "u = a atan2(m, b)": r"u = a \mathrm{atan2}(m ,\; b)",
}


@pytest.mark.parametrize(("text", "expected"), FORMULAS.items())
def test_a_formula_becomes_latex(text: str, expected: str) -> None:
    assert " ".join(latex(text).split()) == " ".join(expected.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("m ← (β m", "is not closed"),
        ("m ← β m)", "closes nothing"),
        ("m / ", "between two operands"),
        ("/ m", "between two operands"),
        ("mystery(x)", "no known function"),
        ("nu=Blockwise", "looks like code"),
        ("tx.update", "looks like code"),
        ("weight_decay λ", "looks like code"),
        ("m ← β m # the mean", "the character '#'"),
    ],
)
def test_what_is_no_formula_is_an_error(text: str, says: str) -> None:
    with pytest.raises(equations.EquationError, match=says):
        latex(text)


def test_columns_and_conditions_are_aligned() -> None:
    # Two `&` before what a condition rules, then two for each further column.
    made = equations.block(
        "first step:  v ← g²\n"
        "then:        v ← β v + (1 - β) g²      v̂ = v / (1 - βᵗ)\n"
        "             θ ← θ - v̂                 (a remark)\n"
    )
    lines = made.splitlines()
    assert lines[0] == r"\begin{aligned}"
    assert lines[-1] == r"\end{aligned}"
    assert [line.count("&") for line in lines[1:-1]] == [3, 5, 5]
    assert lines[1].startswith(r"&\text{first step} {:} & v &\leftarrow")
    assert r"(\text{a remark})" in lines[3]


def test_equations_of_one_line_stand_below_each_other() -> None:
    made = equations.block("x ← x + u,    y = x / 2")
    assert made.count(r"\\") == 1


@pytest.mark.parametrize(
    "code",
    [
        ">>> tx = adam(1e-3)",
        "updates, state = tx.update(grads, state, params)",
        'chain(("warm", trace(0.9)), ("cold", trace(0.5)))',
        "store(adamw(1e-3), mu=Dense(jnp.bfloat16))",
    ],
)
def test_python_stays_code(code: str) -> None:
    assert equations.is_code(code)


@pytest.mark.parametrize("math", ["u = g / sqrt(v)", "θ ← θ - m", "w_k = k^r"])
def test_an_equation_is_no_code(math: str) -> None:
    assert not equations.is_code(math)


def test_formulas_in_running_text() -> None:
    assert equations.inline("β₂ = 0.999") == r"\beta_{2} = 0.999"
    assert equations.inline("mu") is None
    assert equations.inline("chain(scale_by_adamw(), LearningRate(α))") is None


def docstrings() -> list[tuple[str, str]]:
    found = []
    for path in sorted((ROOT / "adamx").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                doc = ast.get_docstring(node)
                if doc:
                    found.append((f"{path.stem}.{node.name}", doc))
    return found


def test_every_docstring_of_the_library_can_be_translated() -> None:
    wrong, seen = [], 0
    for name, doc in docstrings():
        intro, _ = sections.split(doc.splitlines())
        for block in intro:
            text = textwrap.dedent(block.text)
            if block.kind != "indented" or equations.is_code(text):
                continue
            seen += 1
            try:
                made = equations.block(text)
            except equations.EquationError as error:
                wrong.append(f"{name}: {error}")
                continue
            for left, right in ((r"\left(", r"\right)"), ("{", "}")):
                assert made.count(left) == made.count(right), name
    assert not wrong
    assert seen > 60
