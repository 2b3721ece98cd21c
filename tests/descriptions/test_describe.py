"""`adamx.describe`: equations, numbers, the cost of the state, references."""

import jax
import jax.numpy as jnp
import optax
import pytest

import adamx
from adamx import parts
from adamx.interop import optax as of_optax
from adamx.interop.parts import UphillRate
from adamx.storage import Blockwise, Cast

PARAMS = {
    "kernel": jax.ShapeDtypeStruct((64, 128), jnp.float32),
    "bias": jax.ShapeDtypeStruct((128,), jnp.float32),
}

# Kingma & Ba, Algorithm 1, with Loshchilov & Hutter's decay, written by hand.
ADAMW = """\
  m ← 0.9 m + 0.1 g
  m̂ = m / (1 - 0.9ᵗ)
  v ← 0.999 v + 0.001 g²
  v̂ = v / (1 - 0.999ᵗ)
  u = m̂ / (sqrt(v̂) + 10⁻⁸)
  u ← u + 0.1 θ
  θ ← θ - 0.001 u"""

# Chen et al., Algorithm 2.
LION = """\
  c = 0.9 m + 0.1 g
  m ← 0.99 m + 0.01 g
  u = sign(c)
  θ ← θ - 10⁻⁴ u"""


def test_adamw_and_lion_are_their_papers_equations():
    assert adamx.describe(adamx.adamw(1e-3, weight_decay=0.1)).equations() == ADAMW
    assert adamx.describe(adamx.lion(1e-4, weight_decay=0.0)).equations() == LION


def test_the_text_has_numbers_costs_and_references():
    text = str(adamx.describe(adamx.adamw(1e-3)))
    assert text.startswith("adamw\n")
    assert "weight_decay    0.0001  WeightDecay" in text
    assert "8 bytes a parameter of a hidden float32 matrix of 1024 × 1024." in text
    assert "arXiv:1711.05101 (adamw)" in text
    assert "arXiv:1412.6980 (scale_by_adam)" in text


def test_schedules_stand_by_name_and_arrays_by_value():
    cosine = adamx.schedule(
        optax.cosine_decay_schedule, init_value=1e-3, decay_steps=10
    )
    tx = adamx.adam(cosine, b1=jnp.float32(0.8), eps=lambda t: 1e-8)
    made = adamx.describe(tx)
    assert "θ ← θ - cosine_decay_schedule(t) u" in made.equations()
    assert "m ← 0.8 m + 0.2 g" in made.equations()
    assert "sqrt(v̂) + eps(t)" in made.equations()
    assert "w_m ← w_m + 0.2 (1 - w_m)" in made.equations()
    rates = [h.value for h in made.hyperparameters if h.name == "learning_rate"]
    assert rates == [repr(cosine)]


def test_only_the_leaves_of_a_mask():
    text = adamx.describe(adamx.adamw(1e-3, mask="kernel")).equations()
    assert text.endswith(
        "the leaves of 'kernel':\n    u ← u + 10⁻⁴ θ\nall leaves:\n    θ ← θ - 0.001 u"
    )
    text = adamx.describe(adamx.muon(0.02)).equations()
    assert text.startswith("the leaves of hidden_matrix:\n    M ← 0.95 M + 0.05 g")
    # the others begin with the gradient again, not with what the matrices made of it
    assert "all leaves but those of hidden_matrix:\n    m ← 0.9 m + 0.1 g" in text


def test_the_state_is_counted_on_the_given_parameters():
    tx = adamx.store(adamx.adam(1e-3), nu=Cast("bfloat16"))
    made = adamx.describe(tx, PARAMS)
    costs = {cost.slot: cost for cost in made.slots}
    assert (costs["mu"].bytes, costs["mu"].kept) == (4, "float32")
    assert costs["nu"].bytes == 2
    assert "Cast" in costs["nu"].kept
    assert made.total == pytest.approx(
        adamx.memory_plan(tx, PARAMS).bytes_per_parameter
    )
    assert made.counted == "the given parameters"


def test_a_codec_costs_what_it_keeps():
    made = adamx.describe(adamx.store(adamx.adam(1e-3), nu=Blockwise(bits=8)))
    (nu,) = (cost for cost in made.slots if cost.slot == "nu")
    assert 1 < nu.bytes < 1.1  # a byte each, and a scale per block
    assert "arXiv:2110.02861" in str(made)


class Scaled(adamx.Rule):
    """Multiply by a factor of one's own.

    More about it.
    """

    by: adamx.Hyper = adamx.hyper(2.0)

    def apply(self, update, slots, ctx):
        return self.by * update, slots


class SignOfMean(adamx.Rule):
    """Take the sign of a mean."""

    equations = "{@mu} ← {b1} {@mu} + {1-b1} {u}\n sign({@mu})"
    b1: adamx.Hyper = adamx.hyper(0.9, allowed="[0, 1)")

    def slots(self):
        return {"mu": adamx.Slot()}

    def apply(self, update, slots, ctx):
        mu = self.b1 * slots["mu"] + (1 - self.b1) * update
        return jnp.sign(mu), slots | {"mu": mu}


def test_a_rule_of_ones_own_says_its_equations_or_that_it_has_none():
    made = adamx.describe(adamx.chain(SignOfMean(), parts.LearningRate(0.1)))
    assert made.equations() == "  m ← 0.9 m + 0.1 g\n  u = sign(m)\n  θ ← θ - 0.1 u"
    assert made.unsaid == ()
    made = adamx.describe(adamx.chain(Scaled(3.0), parts.LearningRate(0.1)))
    assert "u = Scaled(g)" in made.equations()
    (unsaid,) = map(str, made.unsaid)
    assert unsaid == (
        "Scaled(3.0) says no equation. Multiply by a factor of one's own."
    )
    assert unsaid in str(made)
    assert "says no equation" in made._repr_html_()


def test_a_class_that_extends_a_part_does_not_inherit_its_equation():
    class Slower(parts.LearningRate):
        """Half the rate."""

        def apply(self, update, slots, ctx):
            return -0.5 * self.learning_rate * update, slots

    made = adamx.describe(adamx.chain(Slower(0.1)))
    assert [str(each) for each in made.unsaid] == [
        "Slower(0.1) says no equation. Half the rate."
    ]


def test_transformations_of_optax_are_named():
    made = adamx.describe(adamx.chain(optax.clip(1.0), adamx.adam(1e-3)))
    assert made.equations().startswith("  u = clip(g)\n  m ← 0.9 m + 0.1 u")
    assert made.notes == ("`clip` is of another library: its equations are not known.",)


def test_wrappers_and_groups():
    inner = adamx.adam(1e-3)
    made = adamx.describe(adamx.accumulate(inner, 4))
    assert made.equations().startswith("  g = the mean of the gradients of 4 calls\n")
    made = adamx.describe(adamx.tunable(inner, "learning_rate"))
    assert made.notes == ("The state has learning_rate, which may be replaced.",)
    made = adamx.describe(adamx.observe(inner, every=5))
    assert made.equations() == adamx.describe(inner).equations()
    assert made.notes == ("Metrics are taken every 5 steps.",)
    tx = adamx.groups([("kernel", inner), ("bias", None)])
    made = adamx.describe(tx, PARAMS)
    assert made.equations().endswith("the leaves of 'bias':\n    θ stays")
    fused = adamx.fused(adamx.adamw(1e-3, weight_decay=0.1))
    assert adamx.describe(fused).equations() == ADAMW


def test_calls_of_optax_that_adamx_computes():
    made = adamx.describe(of_optax.adamw(1e-3, weight_decay=0.1))
    assert made.equations() == ADAMW
    assert made.slots[0].kept == "as Optax keeps it"
    made = adamx.describe(UphillRate(0.1))
    assert made.equations() == "  u = 0.1 g"


def test_rows_of_tables():
    made = adamx.describe(adamx.sparse.per_row(adamx.adam(1e-3), "embed"))
    assert made.equations().startswith(
        "the leaves of 'embed':\n    rows with a gradient:  k ← k + 1,   t = k\n"
    )
    made = adamx.describe(adamx.sparse.catch_up(adamx.sgd(0.1, momentum=0.9), "embed"))
    assert "made up with g = 0,   k ← t" in made.equations()
    assert made.unsaid == ()
    assert r"\leftarrow" in made.latex()


def test_a_direction_ends_in_its_update():
    text = adamx.describe(adamx.scale_by_adam()).equations()
    assert text.endswith("u = m̂ / (sqrt(v̂) + 10⁻⁸)")


def test_latex_in_a_notebook():
    latex = adamx.describe(adamx.adam(1e-3))._repr_latex_()
    assert latex.startswith("$\\displaystyle \\begin{gathered}")
    assert r"\hat{v} &= \frac{v}{1 - 0.999^{t}}" in latex


def test_what_is_no_transformation_of_adamx_is_an_error():
    says = r"describe: `tx` must be a transformation of adamx, got .*adamx\.chain\(tx\)"
    with pytest.raises(adamx.AdamxTypeError, match=says):
        adamx.describe(optax.adam(1e-3))
    with pytest.raises(adamx.AdamxTypeError, match="must be an optimizer, a chain or"):
        adamx.describe(Blockwise(bits=8))
    with pytest.raises(adamx.AdamxTypeError, match=r"got the function .*adam"):
        adamx.describe(adamx.adam)
