"""`adamx.interop.optax`: its names, its signatures, its numbers."""

import inspect
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx.interop.optax as beside
from adamx.interop.optax import contrib
from tests.interop import optax_calls
from tests.interop.optax_calls import CALLS, DEPARTING, RATE, apart, data, form, run
from tests.table.cases import few

BUILT = [
    pytest.param(old, new, id=name)
    for here, there in ((beside, optax), (contrib, optax.contrib))
    for name, new in sorted(vars(here).items())
    if hasattr(new, "built_of_adamx")
    for old in [getattr(there, name)]
]
EACH = pytest.mark.parametrize("call", few(CALLS, 36), ids=str)
FIRST = {call.name: call for call in reversed(CALLS)}
PLAIN = pytest.mark.parametrize("call", few(FIRST.values(), 18), ids=str)


def names(module):
    """The public names of a module of Optax, without those that it deprecates."""
    return [n for n in dir(module) if not n.startswith("_") and n != "monte_carlo"]


# ---- names and signatures ------------------------------------------------------


@pytest.mark.parametrize("module", ["", "contrib", "losses", "schedules", "transforms"])
def test_every_name_of_optax_is_there(module):
    here = getattr(beside, module) if module else beside
    there = getattr(optax, module) if module else optax
    assert [n for n in names(there) if not hasattr(here, n)] == []
    assert set(names(there)) <= set(dir(here))


def test_what_adamx_does_not_have_is_the_object_of_optax():
    same = ("chain", "masked", "lbfgs", "apply_updates", "ScaleByAdamState", "tree")
    same += ("losses", "schedules", "tree_utils", "transforms", "fromage")
    for name in same:
        assert getattr(beside, name) is getattr(optax, name)
    assert contrib.momo is optax.contrib.momo


def test_modules_of_optax_are_imported_by_their_names_too():
    import adamx.interop.optax.losses as losses

    assert losses is optax.losses
    with pytest.raises(AttributeError, match="no attribute 'adaam'"):
        beside.adaam  # noqa: B018


def test_adamx_does_not_import_the_functions_beside_optax():
    code = "import sys, adamx; print('adamx.interop.optax' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.stdout.strip() == "False", out.stderr


@pytest.mark.parametrize(("old", "new"), BUILT)
def test_the_signature_is_that_of_optax(old, new):
    """Names, order, kinds, defaults and annotations, one by one."""
    theirs = inspect.signature(old).parameters
    ours = inspect.signature(new).parameters
    assert list(ours) == list(theirs)
    for name, parameter in theirs.items():
        assert ours[name] == parameter
    assert new.__doc__
    assert new.__doc__.startswith("`optax.")


@pytest.mark.parametrize(("old", "new"), BUILT)
def test_a_wrong_keyword_is_an_error(old, new):
    name = new.__name__
    with pytest.raises(TypeError, match=f"^{name}: its keywords must be .*got `lr`"):
        new(lr=0.1)
    with pytest.raises(TypeError, match=f"^{name}: its arguments must be .*too many"):
        new(*range(30))


# ---- numbers -------------------------------------------------------------------


def test_every_function_has_a_call():
    called = {call.name.split(".")[-1] for call in (*CALLS, *DEPARTING)}
    built = {param.id for param in BUILT}
    assert built - called == {"scale_by_muon"}  # in muon
    wide = {call.name for call in CALLS if call.double > 1e-10 or call.single > 1e-6}
    assert wide <= set(optax_calls.WIDER)


@EACH
def test_the_numbers_are_those_of_optax_in_64_bits(call, x64):
    """Also if each library goes on from the other's state, for three steps."""
    params, grads = data(jnp.float64, 9)
    ours, theirs = call.made(beside), call.made(optax)
    assert beside.implemented_by(ours, params) == "adamx"
    u, state, _ = run(ours, params, grads)
    v, other, _ = run(theirs, params, grads)
    assert apart(u, v) <= call.double
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=call.double * 100, atol=1e-12)
    by_turns, state = [], None
    for i, tx in enumerate((theirs, ours, theirs)):
        u, state, params = run(tx, params, grads[3 * i : 3 * i + 3], state)
        by_turns += u
    assert apart(by_turns, v) <= 10 * call.double


@PLAIN
def test_the_numbers_are_those_of_optax_in_32_bits(call):
    """Of Optax in 64 bits, on the same data: its own are up to 8e-4 off in 32 bits."""
    params, grads = data(jnp.float32, 10)
    u = run(call.made(beside), params, grads)[0]
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: jnp.asarray(np.float64(x)), (params, grads))
        v = run(call.made(optax), *wide)[0]
    assert apart(u, v) <= call.single


@EACH
@pytest.mark.parametrize("dtype", few(["bfloat16", "float32", "float16"], 1))
def test_the_state_is_the_state_of_optax(call, dtype):
    """In class, order, shapes and dtypes, at the start and after a step."""
    params, grads = data(dtype, 1)
    ours, theirs = call.made(beside), call.made(optax)
    started = theirs.init(params)
    assert form(ours.init(params)) == form(started)
    u, state = jax.eval_shape(ours.update, grads[0], started, params)
    v, _ = jax.eval_shape(theirs.update, grads[0], started, params)
    assert form(state) == form(started)
    assert form(u) == form(v)


@pytest.mark.parametrize("call", DEPARTING, ids=str)
def test_what_departs_says_so_and_keeps_the_state_of_optax(call):
    params, grads = data(jnp.float32, 3)
    ours, theirs = call.made(beside), call.made(optax)
    assert form(run(ours, params, grads)[1]) == form(theirs.init(params))
    scale_by = getattr(beside, f"scale_by_{call.name.removeprefix('scale_by_')}")
    assert "Departs from Optax" in scale_by.__doc__


def test_mixed_dtypes_give_the_dtypes_of_optax():
    """A bfloat16 gradient of a float32 parameter makes an update in float32.

    Optax squares the gradient in bfloat16, so its numbers are so far off.
    """
    params, _ = data(jnp.float32, 1)
    grads = [data(jnp.bfloat16, 1)[0]]
    for call in (CALLS[0], CALLS[2]):
        u = run(call.made(beside), params, grads)[0]
        v = run(call.made(optax), params, grads)[0]
        assert form(u) == form(v)
        assert apart(u, v) <= 2 * float(jnp.finfo(jnp.bfloat16).eps)


@pytest.mark.parametrize("mu_dtype", ["bfloat16", jnp.float16, np.dtype("float32")])
def test_mu_dtype_is_the_dtype_of_the_first_moment(mu_dtype):
    params, grads = data(jnp.float32, 5)
    u, state, _ = run(beside.adamw(RATE, mu_dtype=mu_dtype), params, grads)
    v, other, _ = run(optax.adamw(RATE, mu_dtype=mu_dtype), params, grads)
    assert form(state) == form(other)
    assert apart(u, v) <= 2e-2


# ---- what is not built of adamx's parts ----------------------------------------

OWN = {
    "negative rate": (lambda of: of.sgd(-RATE), "must be at least 0"),
    "smooth lion": (lambda of: of.scale_by_lion(mode="smooth"), "mode='hard' only"),
    "decaying sm3": (lambda of: of.scale_by_sm3(b2=0.9), "adds up the squares"),
    "least norm": (lambda of: of.scale_by_trust_ratio(1e-3), "no min_norm"),
    "offset": (lambda of: of.adafactor(RATE, decay_offset=-3), "from 1 only"),
    "nesterov of adopt": (
        lambda of: of.contrib.adopt(RATE, nesterov=True),
        "no Nesterov form",
    ),
    "dog from a distance": (
        lambda of: of.contrib.dog(init_step=("distance", 1e-3)),
        "the heuristic only",
    ),
    "own decay of adafactor": (
        lambda of: of.scale_by_factored_rms(decay_rate_fn=lambda t, r: 0.5),
        "does not know `decay_rate_fn`",
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_a_call_without_parts_is_optaxs_own_and_says_why(name):
    make, why = OWN[name]
    params, grads = data(jnp.float32, 3)
    said = beside.implemented_by(make(beside))
    assert said.startswith("optax: ")
    assert why in said
    assert apart(*(run(make(of), params, grads)[0] for of in (beside, optax))) == 0


def test_implemented_by_of_functions_and_foreign_transformations():
    assert beside.implemented_by(beside.adam) == "adamx"
    assert beside.implemented_by(beside.fromage).startswith("optax: ")
    assert beside.implemented_by(beside.lbfgs()).startswith("optax: ")


def test_complex_leaves_are_computed_by_optax():
    params = {"a": jnp.ones(3, jnp.complex64), "b": jnp.ones(2)}
    ours, theirs = beside.adam(RATE), optax.adam(RATE)
    assert "complex64" in beside.implemented_by(ours, params)
    u, _ = ours.update(params, ours.init(params), params)
    v, _ = theirs.update(params, theirs.init(params), params)
    assert form(u) == form(v)
    np.testing.assert_allclose(u["a"], v["a"], rtol=1e-6)  # compiled as a whole


def test_tensors_that_optax_factors_over_other_axes_are_computed_by_optax():
    params = {"a": jnp.ones((5, 2, 4))}
    ours = beside.adafactor(RATE, min_dim_size_to_factor=2)
    assert "the last two axes" in beside.implemented_by(ours, params)
    theirs = optax.adafactor(RATE, min_dim_size_to_factor=2)
    u, v = (tx.update(params, tx.init(params), params)[0] for tx in (ours, theirs))
    np.testing.assert_array_equal(u["a"], v["a"])
    assert beside.implemented_by(ours, {"a": jnp.ones((2, 4, 5))}) == "adamx"


# ---- as values, and inside Optax -----------------------------------------------


def test_calls_are_values():
    tx = beside.adamw(RATE, weight_decay=0.1)
    assert tx == beside.adamw(RATE, weight_decay=0.1)
    assert tx != beside.adamw(RATE)
    assert repr(tx) == "adamw(learning_rate=0.01, weight_decay=0.1)"


@pytest.mark.parametrize(
    "call",
    [
        call
        for call in FIRST.values()
        if "." not in call.name and "learning_rate" in call.keywords
    ],
    ids=str,
)
def test_injected_hyperparameters(call):
    """`inject_hyperparams` passes arrays: the numbers are those of Optax."""
    params, grads = data(jnp.float32, 4)
    static = ("min_dim_size_to_factor", "dtype_momentum")
    static = static if call.name == "adafactor" else static[:1]
    static = tuple(
        n
        for n in static
        if n in inspect.signature(getattr(optax, call.name)).parameters
    )
    masks = tuple(n for n in call.keywords if n.endswith("mask"))

    def injected(of):
        function = getattr(of, call.name)
        return optax.inject_hyperparams(function, (*static, *masks))(**call.keywords)

    u = run(injected(beside), params, grads)[0]
    v = run(injected(optax), params, grads)[0]
    assert apart(u, v) <= 100 * call.single  # Optax's own error in 32 bits


def test_inside_multisteps_masks_groups_and_tree_tools():
    params, grads = data(jnp.float32, 6)
    labels = {"0": "a", "1": "b", "2": "a"}

    def made(of):
        inner = {"a": of.adam(RATE), "b": of.chain(of.clip(1.0), of.sgd(RATE, 0.9))}
        return of.MultiSteps(of.partition(inner, labels), 2)

    (u, state, _), (v, other, _) = (
        run(made(of), params, grads) for of in (beside, optax)
    )
    assert apart(u, v) <= 5e-5
    assert form(state) == form(other)
    tx = beside.adam(RATE)
    state = tx.init(params)
    assert isinstance(state[0], optax.ScaleByAdamState)
    assert jax.tree.structure(state[0].mu) == jax.tree.structure(params)
    assert optax.tree.get(state, "nu") is state[0].nu
    mapped = optax.tree.map_params(tx, lambda x: "moment", state)
    assert set(jax.tree.leaves(mapped[0].mu)) == {"moment"}


def test_a_state_of_another_optimizer_is_an_error():
    params, grads = data(jnp.float32, 1)
    tx = beside.adam(RATE)
    with pytest.raises(
        TypeError, match="the state must be the one that `init` of adam"
    ):
        tx.update(grads[0], beside.sgd(RATE).init(params)[0], params)


def test_an_uncounted_state_has_no_steps():
    params, _ = data(jnp.float32, 1)
    assert int(beside.adam(RATE).steps(beside.adam(RATE).init(params))) == 0
    with pytest.raises(ValueError, match="steps: the state must count the steps"):
        beside.sgd(RATE).steps(beside.sgd(RATE).init(params))
