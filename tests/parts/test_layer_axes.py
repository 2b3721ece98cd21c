"""The axes of real layers of Flax linen, Flax nnx, Haiku and Equinox, without `axes=`.

Each expected size, (matrices, inputs, outputs), is that of the product that the layer
computes, by its own documentation; None is what Adam must have.
"""

import functools

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import adamx
from adamx.parts import MatrixAxes

LAYERS, EXPERTS, D, HEADS, EACH = 5, 3, 8, 2, 3
WIDE = HEADS * EACH  # queries, keys and values together: 6
KEY = jax.random.key(0)
X = jnp.ones((1, 4, D))


# ---- the layers ----------------------------------------------------------------------


class LinenBlock(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        x = nn.LayerNorm()(x)
        x = nn.MultiHeadDotProductAttention(HEADS, qkv_features=WIDE)(x)
        x = nn.Conv(D, (3,))(x)
        return nn.Dense(D, name="mlp")(x), None


class LinenModel(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.MultiHeadDotProductAttention(HEADS, qkv_features=WIDE, name="attn")(x)
        scan = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        x, _ = nn.scan(LinenBlock, length=LAYERS, **scan)()(x, None)
        shared = {"variable_broadcast": "params", "split_rngs": {"params": False}}
        x, _ = nn.scan(LinenCell, length=4, **shared)()(x, None)
        nn.Dense(3 * D, name="qkv")(x)
        nn.DenseGeneral((3, HEADS, EACH), name="to_qkv")(x)
        nn.Conv(16, (3, 3), name="conv")(x[..., None])
        nn.ConvTranspose(16, (3,), name="conv_back")(x)
        nn.ConvLocal(6, (3,), name="ConvLocal_0")(x)
        experts = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        many = nn.vmap(nn.Dense, in_axes=None, axis_size=EXPERTS, **experts)
        many(WIDE, name="experts")(x)
        return nn.vmap(nn.Dense, in_axes=None, axis_size=EXPERTS, **experts)(WIDE)(x)


class LinenCell(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.Dense(D)(x), None


def linen():
    return jax.eval_shape(LinenModel().init, KEY, X)["params"]


class NnxModel(nnx.Module):
    def __init__(self, rngs):
        def stack(n, make):
            return nnx.split_rngs(splits=n)(nnx.vmap(make))(rngs)

        self.attn = nnx.MultiHeadAttention(HEADS, D, WIDE, rngs=rngs)
        self.c_attn = nnx.Linear(D, 3 * D, rngs=rngs)
        self.conv = nnx.Conv(4, 16, (3, 3), rngs=rngs)
        self.norm = nnx.RMSNorm(D, rngs=rngs)
        self.scan_layers = stack(LAYERS, lambda rngs: nnx.Linear(D, 6, rngs=rngs))
        self.scan_norms = stack(LAYERS, lambda rngs: nnx.LayerNorm(D, rngs=rngs))
        self.scan_attn = stack(
            LAYERS, lambda rngs: nnx.MultiHeadAttention(HEADS, D, WIDE, rngs=rngs)
        )
        self.moe = stack(EXPERTS, lambda rngs: nnx.Linear(D, 6, rngs=rngs))
        self.einsum = nnx.Einsum("btd,kdnh->kbtnh", (3, D, HEADS, EACH), rngs=rngs)


def in_nnx():
    return nnx.state(nnx.eval_shape(lambda: NnxModel(nnx.Rngs(0))), nnx.Param)


def haiku():
    attention = functools.partial(
        hk.MultiHeadAttention, HEADS, EACH, w_init=jnp.zeros, model_size=D
    )

    def block(x):
        x = hk.LayerNorm(-1, create_scale=True, create_offset=True)(x)
        x = attention()(x, x, x)
        return hk.Conv1D(D, 3)(hk.Linear(D)(x))

    def model(x):
        x = attention()(x, x, x)
        x = hk.experimental.layer_stack(LAYERS)(block)(x)
        hk.Linear(3 * D, name="qkv")(x)
        hk.Conv2D(16, 3)(x[..., None])
        hk.Conv1DTranspose(16, 3)(x)
        w = hk.get_parameter("experts", (EXPERTS, D, 6), init=jnp.zeros)
        return jnp.einsum("btd,edf->ebtf", x, w)

    return jax.eval_shape(hk.transform(model).init, KEY, X)


class EquinoxModel(eqx.Module):
    attn: eqx.nn.MultiheadAttention
    qkv: eqx.nn.Linear
    conv: eqx.nn.Conv2d
    norm: eqx.nn.LayerNorm
    mlp: eqx.nn.MLP
    layers: list
    experts: eqx.nn.Linear

    def __init__(self, key):
        def stack(n, make):
            return eqx.filter_vmap(make)(jax.random.split(key, n))

        attention = {"qk_size": EACH, "vo_size": EACH, "key": key}
        self.attn = eqx.nn.MultiheadAttention(HEADS, D, **attention)
        self.qkv = eqx.nn.Linear(D, 3 * D, key=key)
        self.conv = eqx.nn.Conv2d(4, 16, 3, groups=2, key=key)
        self.norm = eqx.nn.LayerNorm(D)
        self.mlp = eqx.nn.MLP(D, 6, 7, 1, key=key)
        self.layers = [
            stack(LAYERS, lambda key: eqx.nn.Linear(D, 6, key=key)),
            stack(LAYERS, lambda key: eqx.nn.LayerNorm(D)),
        ]
        self.experts = stack(EXPERTS, lambda key: eqx.nn.Linear(D, 6, key=key))


def equinox():
    model = eqx.filter_eval_shape(EquinoxModel, KEY)
    return eqx.filter(model, lambda x: isinstance(x, jax.ShapeDtypeStruct))


# ---- what each leaf must be seen as --------------------------------------------------

INTO, BACK = (1, D, WIDE), (1, WIDE, D)
ATTENTION = dict.fromkeys(["query/kernel", "key/kernel", "value/kernel"], INTO)
ATTENTION |= {"out/kernel": BACK}


def below(path, sizes, times=1):
    """The leaves of a layer at a path, as a stack of `times`."""
    return {f"{path}/{k}": (v[0] * times, *v[1:]) for k, v in sizes.items()}


def haiku_attention(times):
    each = {f"{k}/w": INTO for k in ("query", "key", "value")}
    return {k: (times, *v[1:]) for k, v in (each | {"linear/w": BACK}).items()}


SEEN = {
    linen: below("attn", ATTENTION)
    | below("ScanLinenBlock_0/MultiHeadDotProductAttention_0", ATTENTION, LAYERS)
    | {
        "ScanLinenBlock_0/Conv_0/kernel": (LAYERS, 3 * D, D),
        "ScanLinenBlock_0/mlp/kernel": (LAYERS, D, D),
        "ScanLinenCell_0/Dense_0/kernel": (1, D, D),  # shared by all steps
        "qkv/kernel": (1, D, 3 * D),
        "to_qkv/kernel": (3, D, WIDE),
        "conv/kernel": (1, 9, 16),
        "conv_back/kernel": (1, 3 * D, 16),
        "ConvLocal_0/kernel": (4, 3 * D, 6),
        "experts/kernel": (EXPERTS, D, WIDE),
        "VmapDense_0/kernel": (EXPERTS, D, WIDE),
    },
    in_nnx: below("attn", ATTENTION)
    | below("scan_attn", ATTENTION, LAYERS)
    | {
        "c_attn/kernel": (1, D, 3 * D),
        "conv/kernel": (1, 36, 16),
        "scan_layers/kernel": (LAYERS, D, 6),
        "moe/kernel": (EXPERTS, D, 6),
    },
    haiku: below("multi_head_attention", haiku_attention(1))
    | below("__layer_stack_no_per_layer/multi_head_attention", haiku_attention(LAYERS))
    | {
        "__layer_stack_no_per_layer/linear/w": (LAYERS, D, D),
        "__layer_stack_no_per_layer/conv1_d/w": (LAYERS, 3 * D, D),
        "qkv/w": (1, D, 3 * D),
        "conv2_d/w": (1, 9, 16),
        "conv1_d_transpose/w": (1, 3 * D, 16),
        "~/experts": (EXPERTS, D, 6),
    },
    equinox: {
        "attn/query_proj/weight": INTO,
        "attn/key_proj/weight": INTO,
        "attn/value_proj/weight": INTO,
        "attn/output_proj/weight": BACK,
        "qkv/weight": (1, D, 3 * D),
        "conv/weight": (1, 2 * 9, 16),
        "mlp/layers/0/weight": (1, D, 7),
        "mlp/layers/1/weight": (1, 7, 6),
        "experts/weight": (EXPERTS, D, 6),
    },
}
# of two axes or more, and Adam's: what the reason must say
LEFT = {
    linen: {"bias": "a bias", "scale": "a norm"},
    in_nnx: {"bias": "a bias", "scale": "a norm", "einsum/kernel": "pass axes="},
    haiku: {"/b": "a vector for each", "scale": "a norm", "offset": "a norm"},
    equinox: {
        "bias": "a bias",
        "layers/0/weight": "3 axes and a name that says not which: pass axes=",
        "layers/1/weight": "; if the first is of layers: axes={",
    },
}


@functools.cache
def plan(make):
    return adamx.matrix_plan(adamx.muon(0.1), make())


@pytest.mark.parametrize("make", SEEN, ids=lambda f: f.__name__)
def test_each_leaf_of_a_real_layer_is_the_matrix_by_which_it_multiplies(make):
    rows = {row.leaf: row for row in plan(make).rows}
    seen = {path: row.matrices for path, row in rows.items() if row.matrices}
    if make is equinox:  # two axes, and no name that says what they are: the plan does
        assert seen.pop("layers/1/weight") is not None
    assert seen == SEEN[make]


@pytest.mark.parametrize("make", SEEN, ids=lambda f: f.__name__)
def test_no_leaf_of_two_axes_goes_to_adam_or_to_muon_without_a_word(make):
    checked = set()
    for row in plan(make).rows:
        if len(row.shape) < 2 or row.leaf in SEEN[make]:
            continue
        name = next((k for k in LEFT[make] if row.leaf.endswith(k)), None)
        assert name, row
        assert LEFT[make][name] in row.why, row
        checked.add(name)
    assert checked == set(LEFT[make])


# ---- fused kernels -------------------------------------------------------------------

RANDOM = np.random.default_rng(5)


def updated(params, **keywords):
    tx = adamx.muon(0.1, **keywords)
    return step(tx, params)


def step(tx, params):
    return jax.jit(lambda p: tx.update(p, tx.init(p), p)[0])(params)


@pytest.mark.parametrize(("parts", "way"), [(3, "columns"), (3 * HEADS, "rows")])
def test_a_fused_kernel_is_updated_as_its_parts(x64, parts, way):
    """As arrays of their own, one for the query, key, value, or of each head."""
    w = jnp.asarray(RANDOM.standard_normal((D, 3 * WIDE)))
    axes, out_axis = MatrixAxes(split_columns=parts), -1
    apart = jnp.split(w, parts, 1)
    if way == "rows":  # (out, in)
        w, out_axis, apart = w.T, 0, [x.T for x in apart]
        axes = MatrixAxes(split_rows=parts)
    got = updated({"qkv": w}, axes={"qkv": axes}, out_axis=out_axis)["qkv"]
    each = updated({f"w{i:02}": x for i, x in enumerate(apart)}, out_axis=out_axis)
    want = jnp.concatenate([each[k] for k in sorted(each)], axis=out_axis)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-14)


def test_a_stack_of_fused_kernels_is_updated_as_its_layers(x64):
    w = jnp.asarray(RANDOM.standard_normal((2, D, 3 * D)))
    axes = MatrixAxes(1, 2, split_columns=3)
    got = updated({"w": w}, axes=axes)["w"]
    deep = adamx.stacked(adamx.muon(0.1, axes=MatrixAxes(split_columns=3)), "w")
    again = step(deep, {"w": w})["w"]
    for i in range(2):
        alone = updated({"w": w[i]}, axes=MatrixAxes(split_columns=3))["w"]
        np.testing.assert_allclose(got[i], alone, rtol=0, atol=1e-14)
        np.testing.assert_allclose(again[i], alone, rtol=0, atol=1e-14)
    tx = adamx.adamuon(0.1, weight_decay=0.0, axes=axes)
    squares = np.square(step(tx, {"w": w})["w"])  # its RMS too is that of each matrix
    blocks = squares.reshape(2, D, 3, D).mean((1, 3))
    np.testing.assert_allclose(np.sqrt(blocks), 0.1 * 0.2, rtol=1e-6)


def test_the_plan_says_that_a_fused_kernel_is_one_matrix_and_how_to_cut_it():
    for make, path in ((linen, "qkv/kernel"), (equinox, "qkv/weight")):
        row = next(row for row in plan(make).rows if row.leaf == path)
        said = row.why.split("MatrixAxes")[1].split(" ")[0:-2]
        axes = eval("MatrixAxes" + " ".join(said))
        cut = adamx.matrix_plan(adamx.muon(0.1, axes={path: axes}), make())
        sizes = {row.leaf: row.matrices for row in cut.rows}
        assert sizes[path] == (3, D, D)


def test_equinox_is_scaled_by_its_outputs(x64):
    """weight (out, in) moves as kernel (in, out), and as with out_axis=0."""
    w = jnp.asarray(RANDOM.standard_normal((9, 4)))
    want = updated({"kernel": w.T})["kernel"].T
    for got in (
        updated({"weight": w})["weight"],
        updated({"weight": w}, out_axis=0)["weight"],
    ):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-14)
