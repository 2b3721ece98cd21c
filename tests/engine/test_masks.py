"""`mask=` takes what Optax takes, a predicate of path and leaf, and a path regex."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import Masked, chain
from adamx.parts import Clip, IndependentWeightDecay, LearningRate, WeightDecay
from tests.support.trees import assert_close, assert_equal


def drawn(seed):
    normal = np.random.default_rng(seed).standard_normal
    tree = {
        "dense": {"kernel": normal((3, 4)), "bias": normal((4,))},
        "blocks": [normal((2, 1, 3)), normal((1,))],
        "gain": normal(()),
    }
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


def params():
    return drawn(0)


def grads():
    return drawn(1)


# The kernel and the block of three axes decay; biases, gains and scalars do not.
MASKS = {
    "tree": {
        "dense": {"kernel": True, "bias": False},
        "blocks": [True, False],
        "gain": False,
    },
    "prefix": {"dense": {"kernel": True, "bias": False}, "blocks": [True, False],
               "gain": False},
    "callable": lambda tree: jax.tree.map(lambda x: jnp.ndim(x) > 1, tree),
    "predicate": lambda path, leaf: path == "dense/kernel" or leaf.ndim > 1,
    "regex": r"kernel$|blocks/0",
}  # fmt: skip
EVERY = pytest.mark.parametrize("form", MASKS)


def decayed(tx, p):
    """Which leaves a zero gradient moves."""
    zero = jax.tree.map(jnp.zeros_like, p)
    updates, _ = tx.update(zero, tx.init(p), p)
    return jax.tree.map(lambda u: bool(np.any(u)), updates)


@EVERY
@pytest.mark.parametrize(
    "tx",
    [
        lambda mask: adamx.adamw(0.1, mask=mask),
        lambda mask: WeightDecay(0.1, mask=mask),
        lambda mask: IndependentWeightDecay(0.1, mask=mask),
        lambda mask: chain(Clip(9.0), WeightDecay(0.1, mask)),
        lambda mask: Masked(WeightDecay(0.1), mask),
        lambda mask: Masked(chain(WeightDecay(0.1), LearningRate(2.0)), mask),
    ],
    ids=["adamw", "decay", "independent", "chain", "Masked", "Masked chain"],
)
def test_every_form_of_mask_says_the_same(form, tx):
    assert decayed(tx(MASKS[form]), params()) == MASKS["tree"]


def test_no_mask_is_every_leaf():
    p = params()
    assert all(jax.tree.leaves(decayed(adamx.adamw(0.1), p)))


def test_a_prefix_of_the_tree_covers_what_is_below():
    mask = {"dense": True, "blocks": [True, False], "gain": False}
    got = decayed(WeightDecay(0.1, mask), params())
    assert got == {
        "dense": {"kernel": True, "bias": True},
        "blocks": [True, False],
        "gain": False,
    }
    one = jnp.ones(3)
    assert decayed(WeightDecay(0.1, mask=True), one) is True
    assert decayed(WeightDecay(0.1, mask=False), one) is False


def test_adamw_with_a_mask_is_the_counterpart_in_optax():
    mask, p = MASKS["callable"], params()
    ours = adamx.adamw(0.1, weight_decay=0.5, mask=mask)
    theirs = optax.adamw(0.1, weight_decay=0.5, mask=mask)
    got, _ = ours.update(grads(), ours.init(p), p)
    want, _ = theirs.update(grads(), theirs.init(p), p)
    assert_close(got, want, ulps=64)


@EVERY
def test_masked_leaves_pass_through_any_part(form):
    p, g = params(), grads()
    tx = Masked(adamx.adam(0.1), MASKS[form])
    updates, state = tx.update(g, tx.init(p), p)
    alone, _ = adamx.adam(0.1).update(g, adamx.adam(0.1).init(p), p)
    for on, u, a, x in zip(
        *map(jax.tree.leaves, (MASKS["tree"], updates, alone, g)), strict=True
    ):
        np.testing.assert_allclose(u, a if on else x, rtol=1e-6)
    again, _ = tx.update(g, state, p)
    assert jax.tree.structure(again) == jax.tree.structure(g)


def test_complementary_masks_are_a_partition():
    """Two optimizers share the tree; each keeps slots for its own leaves."""
    p, g = params(), grads()
    matrix, rest = (
        MASKS["predicate"],
        lambda path, leaf: not MASKS["predicate"](path, leaf),
    )
    tx = optax.chain(Masked(adamx.adam(0.1), matrix), Masked(adamx.sgd(0.5), rest))
    updates, _ = tx.update(g, tx.init(p), p)
    assert_equal(updates["gain"], -0.5 * g["gain"])
    np.testing.assert_allclose(np.abs(updates["dense"]["kernel"]), 0.1, rtol=1e-5)


def test_a_regex_is_searched_in_the_whole_path():
    assert decayed(WeightDecay(0.1, mask="^blocks/"), params()) == {
        "dense": {"kernel": False, "bias": False},
        "blocks": [True, True],
        "gain": False,
    }


@EVERY
def test_masks_work_on_shapes_and_under_jit(form):
    tx, p = adamx.adamw(0.1, mask=MASKS[form]), params()
    abstract = jax.eval_shape(tx.update, grads(), jax.eval_shape(tx.init, p), p)
    assert jax.tree.structure(abstract[0]) == jax.tree.structure(p)
    got = jax.jit(tx.update)(grads(), jax.jit(tx.init)(p), p)
    assert_close(got, tx.update(grads(), tx.init(p), p))


# ---- where what is given is taken for something else -------------------------

HIDDEN = {"hidden": {"w": True, "b": False}, "table": {"w": False}}
TREE = jax.tree.map(jnp.ones, {"hidden": {"w": (4, 6), "b": 6}, "table": {"w": (5, 4)}},
                    is_leaf=lambda x: not isinstance(x, dict))  # fmt: skip


def of_hidden(params):
    return jax.tree_util.tree_map_with_path(
        lambda keys, x: x.ndim == 2 and "hidden" in str(keys), params
    )


def by_path(path, leaf):
    return leaf.ndim == 2 and "hidden" in path


def two_steps(tx):
    state, updates = tx.init(TREE), None
    g = jax.tree.map(lambda x: jnp.cos(jnp.arange(x.size)).reshape(x.shape), TREE)
    for _ in range(2):
        updates, state = jax.jit(tx.update)(g, state, TREE)
    return updates


STATIC = ("mask", "muon_mask", "ns_steps", "out_axis", "coefficients")
WAYS = {
    "tunable": lambda **words: adamx.tunable(adamx.muon(**words), "learning_rate"),
    "injected": optax.inject_hyperparams(adamx.muon, static_args=STATIC),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "mask",
    [of_hidden, by_path, "hidden/w", HIDDEN],
    ids=["callable", "predicate", "regex", "tree"],  # no addresses: workers compare
)
def test_muon_by_any_mask_is_tuned_and_injected(way, mask):
    words = {"learning_rate": 0.1, "weight_decay": 0.1, "mask": mask, "muon_mask": mask}
    want = two_steps(adamx.muon(0.1, weight_decay=0.1, mask=HIDDEN, muon_mask=HIDDEN))
    assert_close(two_steps(WAYS[way](**words)), want, ulps=300)  # as the law has it


def by_weight_decay(weight_decay, mask=None):
    """A user's function, of which Optax cannot know what is a mask."""
    return adamx.adamw(0.1, weight_decay=weight_decay, mask=mask)


def test_a_callable_mask_that_was_taken_for_a_schedule_is_refused():
    """It was called with the count, and returned one bool."""
    tx = optax.inject_hyperparams(by_weight_decay)(0.1, mask=of_hidden)
    message = "it must say which parameters, got False for all.*named in static_args"
    with pytest.raises(ValueError, match=message):
        two_steps(tx)


def test_integers_that_became_arrays_are_refused():
    message = r"muon: `ns_steps` must be known when.*static_args=\('ns_steps', 'out_ax"
    with pytest.raises(TypeError, match=message):
        two_steps(adamx.muon(0.1, ns_steps=jnp.array(5)))
    message = r"adahessian: `average` must be known when"
    with pytest.raises(TypeError, match=message):
        two_steps(adamx.adahessian(0.1, average=jnp.array(5)))


# ---- answers that are not Python bools, trees that can be called --------------

ANSWERS = {
    "np.bool_": lambda x: np.prod(x.shape) > 10,
    "jnp.bool_": lambda x: jnp.bool_(x.size > 10),
    "0 and 1": lambda x: int(x.size > 10),
    "NumPy's integers": lambda x: np.int32(x.size > 10),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("form", ["callable", "predicate", "tree"])
def test_what_optax_takes_as_true_is_true(answer, form):
    yes = ANSWERS[answer]
    mask = {
        "callable": lambda p: jax.tree.map(yes, p),
        "predicate": lambda path, leaf: yes(leaf),
        "tree": jax.tree.map(yes, params()),
    }[form]
    only_kernel = jax.tree.map(lambda x: x.size > 10, params())
    assert decayed(adamx.adamw(0.1, weight_decay=0.5, mask=mask), params()) == (
        only_kernel
    )
    tx = adamx.adamw(0.1, weight_decay=0.5, mask=mask)
    zero = jax.tree.map(jnp.zeros_like, params())
    u, _ = jax.jit(tx.update)(zero, jax.jit(tx.init)(params()), params())
    assert jax.tree.map(lambda x: bool(np.any(x)), u) == only_kernel


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_muon_mask_of_such_answers_gives_each_leaf_to_one_optimizer(answer):
    # the kernel is a matrix of 12 elements; everything else is Adam's
    yes = ANSWERS[answer]
    mask = lambda p: jax.tree.map(yes, p)  # noqa: E731
    want = adamx.muon(0.1, muon_mask=jax.tree.map(lambda x: x.size > 10, params()))
    got = adamx.muon(0.1, muon_mask=mask)
    p, g = params(), grads()
    assert_equal(got.update(g, got.init(p), p)[0], want.update(g, want.init(p), p)[0])


def test_true_is_every_leaf_and_no_mask():
    assert adamx.adamw(0.1, mask=True) == adamx.adamw(0.1)
    assert all(jax.tree.leaves(decayed(adamx.adamw(0.1, mask=True), params())))


def test_a_mask_whose_class_can_be_called_is_a_tree():
    model = eqx.nn.MLP(2, 3, 4, 1, key=jax.random.key(0))
    p = eqx.filter(model, eqx.is_array)
    mask = jax.tree.map(lambda x: x.ndim > 1, p)
    assert callable(mask)
    tx = adamx.adamw(0.1, weight_decay=0.5, mask=mask)
    zero = jax.tree.map(jnp.zeros_like, p)
    updates, _ = tx.update(zero, tx.init(p), p)
    moved = jax.tree.map(lambda u: bool(np.any(u)), updates)
    assert jax.tree.leaves(moved) == jax.tree.leaves(mask)


def test_a_pattern_that_is_in_no_path_is_refused():
    for make in (
        lambda mask: adamx.adamw(0.1, mask=mask),
        lambda mask: Masked(adamx.adam(0.1), mask),
        lambda mask: adamx.muon(0.1, muon_mask=mask),
    ):
        message = (
            "mask: the pattern must be found in the path of a parameter, got "
            "'dense/kernal', which is in none. Did you mean 'kernel'\\? The paths are "
            "'blocks/0', 'blocks/1', 'dense/bias', 'dense/kernel', 'gain'."
        )
        with pytest.raises(adamx.AdamxError, match=message):
            decayed(make("dense/kernal"), params())


def test_an_empty_pattern_is_refused():
    with pytest.raises(adamx.AdamxError, match="`mask` must not be empty, got ''"):
        adamx.adamw(0.1, mask="")


def test_a_pattern_that_is_in_the_path_of_a_hidden_leaf_is_taken():
    """As in a group of `optax.partition` that has none of the leaves that decay."""
    labels = {"dense": {"kernel": "a", "bias": "b"}, "blocks": ["b", "b"], "gain": "b"}
    each = {name: adamx.adamw(0.1, mask="kernel") for name in "ab"}
    assert decayed(optax.partition(each, labels), params()) == jax.tree.map(
        lambda group: group == "a", labels
    )
    p = params() | {"dense": {"kernel": None, "bias": jnp.ones(4)}}
    assert not any(jax.tree.leaves(decayed(adamx.adamw(0.1, mask="kernel"), p)))


def test_a_mask_that_depends_on_values_is_refused_under_jit():
    tx = adamx.adamw(0.1, mask=lambda p: jax.tree.map(lambda x: x.sum() > 0, p))
    with pytest.raises(
        TypeError, match=r"its leaves must be True or False.*from shape"
    ):
        jax.jit(tx.init)(params())


def test_a_leaf_that_init_did_not_select_is_refused():
    p, chosen = params(), ["gain"]
    tx = Masked(adamx.adam(0.1), lambda path, leaf: path in chosen)
    state = tx.init(p)
    chosen.append("dense/bias")
    message = (
        "a leaf that a mask selects must have been selected by `init`, got nothing "
        "kept of the slot `mu` for `dense/bias`"
    )
    with pytest.raises(adamx.AdamxError, match=message):
        tx.update(grads(), state, p)
