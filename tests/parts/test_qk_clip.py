"""QK-clip: against its formula, and on the logits of a layer of attention."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.later import things
from adamx.parts import LearningRate, QKClip
from tests.papers.clips import qk_clipped

D, HEADS, SIZE, TAU = 6, 3, 4, 2.0
_normal = np.random.default_rng(20).standard_normal
X = _normal((5, D))


def layer(seed):
    normal = np.random.default_rng(seed).standard_normal
    kernels = {n: normal((D, HEADS, SIZE)) for n in ("query", "key", "value")}
    return {
        name: {"kernel": jnp.asarray(w), "bias": jnp.asarray(normal((HEADS, SIZE)))}
        for name, w in kernels.items()
    }


def largest(attention, x=X):
    """The largest logit of each head, as the softmax gets it."""
    q, k = (
        jnp.einsum("td,dhe->the", x, attention[n]["kernel"]) + attention[n]["bias"]
        for n in ("query", "key")
    )
    return jnp.max(jnp.einsum("the,she->hts", q, k), (1, 2)) / SIZE**0.5


def stepped(tx, p, g, **extra):
    updates, _ = jax.jit(tx.update)(g, tx.init(p), p, **extra)
    return optax.apply_updates(p, updates)


def measured(p):
    return {name: largest(attention) for name, attention in p.items()}


PARAMS = {"a": layer(1), "ab": layer(2)}
GRADS = {"a": layer(3), "ab": layer(4)}
S = {"a": np.array([5.0, 1.0, 2.5]), "ab": np.array([-3.0, 8.0, 2.0])}


@pytest.mark.parametrize("alpha", [0.5, 0.2])
def test_it_scales_the_stepped_weights_of_each_head_as_the_paper_does(x64, alpha):
    p, g = (jax.tree.map(jnp.float64, x) for x in (PARAMS, GRADS))
    plain = stepped(adamx.sgd(0.1), p, g)
    tx = adamx.chain(adamx.sgd(0.1), QKClip(tau=TAU, alpha=alpha))
    got = stepped(tx, p, g, max_logits=S)
    for name, after in got.items():
        for kind in ("kernel", "bias"):
            w_q, w_k = (plain[name][n][kind] for n in ("query", "key"))
            wanted = qk_clipped(w_q, w_k, S[name], TAU, alpha)
            for n, want in zip(("query", "key"), wanted, strict=True):
                np.testing.assert_allclose(after[n][kind], want, rtol=1e-12)
        assert all(
            np.array_equal(after["value"][n], plain[name]["value"][n])
            for n in ("kernel", "bias")
        )


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_no_logit_of_the_same_inputs_exceeds_the_bound(x64, alpha):
    """Where the step is 0, also with Muon; heads below the bound keep theirs."""
    p = jax.tree.map(jnp.float64, PARAMS)
    before = measured(p)
    tau = float(np.median(jnp.stack(list(before.values()))))
    tx = adamx.chain(adamx.muon(0.0), QKClip(tau=tau, alpha=alpha))
    after = measured(stepped(tx, p, p, max_logits=before))
    for name, s in after.items():
        np.testing.assert_allclose(s, np.minimum(before[name], tau), rtol=1e-12)


def test_muon_with_it_holds_the_logits_that_grow_without_it():
    """The gradient asks for larger logits in each of 60 steps."""

    def loss(p):
        return -sum(jnp.sum(largest(attention)) for attention in p.values())

    def run(clip):
        tx = adamx.chain(adamx.muon(0.05), *clip)

        def step(carry, _):
            p, state = carry
            extra = {"max_logits": measured(p)} if clip else {}
            updates, state = tx.update(jax.grad(loss)(p), state, p, **extra)
            p = optax.apply_updates(p, updates)
            return (p, state), jnp.stack(list(measured(p).values())).max()

        p = jax.tree.map(jnp.float32, PARAMS)
        start = p, tx.init(p)
        return np.asarray(jax.jit(lambda c: jax.lax.scan(step, c, None, 60)[1])(start))

    free, held = run(()), run((QKClip(tau=20.0),))
    assert free[-1] > 100
    one_step = np.max(np.diff(free))
    assert np.all(held < 20.0 + one_step)


def test_fused_and_scanned_kernels_are_the_separate_ones():
    tx = adamx.chain(LearningRate(0.1), QKClip(tau=TAU))
    want = stepped(tx, PARAMS, GRADS, max_logits=S)

    def fused(x):
        return x.reshape(*x.shape[:-2], HEADS * SIZE)

    one = adamx.chain(LearningRate(0.1), QKClip(tau=TAU, heads=HEADS))
    p, g = (jax.tree.map(fused, x) for x in (PARAMS, GRADS))
    got = stepped(one, p, g, max_logits=S)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, fused(b), rtol=1e-6), got, want
    )
    both = [jax.tree.map(lambda *x: jnp.stack(x), *x.values()) for x in (PARAMS, GRADS)]
    p, g = ({"layers": x} for x in both)
    s = {"layers": jnp.stack(list(S.values()))}
    got = stepped(tx, p, g, max_logits=s)["layers"]
    for i, name in enumerate(PARAMS):
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-6),
            got,
            want[name],
        )


def test_latent_attention_is_two_clips():
    """Kimi K2: γ^½ for the two parts of a head, γ for queries of the shared key."""
    shapes = {"q_c": (D, HEADS, 2), "k_c": (D, HEADS, 2), "q_r": (D, HEADS, 2)}
    p = {n: jnp.ones(s) for n, s in {**shapes, "k_r": (D, 2)}.items()}
    tx = adamx.chain(
        LearningRate(0.0),
        QKClip("q_c", "k_c", tau=1.0),
        QKClip("q_r", None, tau=1.0, alpha=1.0),
    )
    tree = {"layer": p}
    s = {"layer": jnp.asarray([4.0, 1.0, 16.0])}
    got = stepped(tx, tree, tree, max_logits=s)["layer"]
    want = {"q_c": [0.5, 1, 0.25], "q_r": [0.25, 1, 1 / 16], "k_c": [0.5, 1, 0.25]}
    for name, factors in want.items():
        np.testing.assert_allclose(got[name][0, :, 0], factors, rtol=1e-6)
    np.testing.assert_array_equal(got["k_r"], p["k_r"])


def test_the_layers_entry_is_found_by_whole_segments_and_in_nested_trees():
    tx = adamx.chain(LearningRate(0.0), QKClip(tau=1.0))
    nested = {"x": {"1": PARAMS["a"], "11": PARAMS["ab"]}}
    trees = (
        {"x": {"1": S["a"], "11": S["ab"]}},
        {"x/1": S["a"], "x/11": S["ab"]},
    )
    got = [stepped(tx, nested, nested, max_logits=jax.tree.map(abs, s)) for s in trees]
    jax.tree.map(np.testing.assert_array_equal, *got)
    changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), got[0], nested)
    assert changed["x"]["1"]["query"]["kernel"]
    assert not changed["x"]["11"]["value"]["kernel"]


def refused(tx, p=PARAMS, **extra):
    with pytest.raises((ValueError, TypeError)) as info:
        tx.update(p, tx.init(p), p, **extra)
    return str(info.value)


def test_what_does_not_fit_is_refused():
    tx = adamx.chain(LearningRate(0.1), QKClip())
    text = refused(tx)
    assert text.startswith("update: the extra argument `max_logits` must be given")
    text = refused(tx, max_logits={"a": S["a"]})
    assert "QKClip: `max_logits` must have one entry for the layer of `ab/" in text
    assert "got 'a'. Pass max_logits=" in text
    text = refused(tx, max_logits={"a": S["a"], "a/query": S["a"], "ab": S["ab"]})
    assert "got 'a', 'a/query'. Pass" in text
    text = refused(tx, max_logits=S["a"])
    assert text.startswith("QKClip: `max_logits` must be a dict of arrays by the path")
    for wrong in (np.ones(HEADS + 1), np.ones(()), np.ones((2, HEADS))):
        text = refused(tx, max_logits={"a": wrong, "ab": wrong})
        assert "`max_logits` must have one number for each head, got shape" in text
        assert f"for the {HEADS} heads of `a/" in text
    text = refused(
        adamx.chain(LearningRate(0.1), QKClip(heads=5)),
        max_logits={"a": np.ones(5), "ab": np.ones(5)},
    )
    assert "QKClip: the last axis of a query or key must be heads·head_dim" in text
    text = refused(adamx.chain(LearningRate(0.1), QKClip("qeury")), max_logits=S)
    assert "the pattern must be found in the path of a parameter" in text
    assert "Did you mean 'query'?" in text
    text = refused(adamx.chain(LearningRate(0.1), QKClip("e", "key")), max_logits=S)
    assert text.startswith("QKClip: a leaf must be a query or a key, got 'a/key/bias'")


@pytest.mark.parametrize(
    ("sentence", "build"),
    [
        (r"QKClip: `tau` must be .*, got 0.0", lambda: QKClip(tau=0.0)),
        (r"QKClip: `alpha` must lie .*, got 1.5", lambda: QKClip(alpha=1.5)),
        (r"QKClip: `alpha` must be 1.0 .*got 0.5", lambda: QKClip(keys=None)),
        (r"QKClip: `queries` must say", lambda: QKClip(None, "key")),
        (r"QKClip: `heads` must be .*, got 0", lambda: QKClip(heads=0)),
        (
            r"chain: QKClip\(.* must be given a finished step",
            lambda: adamx.chain(adamx.scale_by_adam(), QKClip()),
        ),
    ],
)
def test_what_is_out_of_range_is_refused(sentence, build):
    with pytest.raises(ValueError, match=sentence):
        build()


def test_it_is_a_value():
    clip = QKClip(r"q$", r"k$", tau=50.0, heads=2)
    assert eval(repr(clip), things(adamx.parts)) == clip
