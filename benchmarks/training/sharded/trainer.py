"""A decoder trained on a mesh of devices, in full; docs/sharded.md goes through it.

Scanned layers in Flax nnx and linen, FSDP and tensor parallel, parameter groups,
ZeRO-1, accumulation, a state in 8 bits, and checkpoints for any mesh.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax import linen, nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

import adamx
from adamx.storage import Blockwise
from benchmarks.training.data import shipped

LAYERS, WIDTH, HEADS, LENGTH, BATCH = 4, 64, 4, 32, 16
EIGHT = Blockwise(shards=1)  # bits; blocks by the shape alone, on every mesh
REAL = {"param_dtype": float}  # float64 under jax.enable_x64, else float32
TEXT = np.frombuffer(shipped.plays()[0].encode(), np.uint8)


def through_block(block, h):
    """What a block computes, in nnx and in linen."""
    h = jax.lax.with_sharding_constraint(h, P("data"))  # activations: by the batch
    x, heads = block.norm_1(h), (*h.shape[:2], HEADS, -1)
    q, k, v = (f(x).reshape(heads) for f in (block.query, block.key, block.value))
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
    past = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    weights = jax.nn.softmax(jnp.where(past, scores, -jnp.inf))
    h = h + block.out(jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(h.shape))
    return h + block.down(jax.nn.gelu(block.up(block.norm_2(h))))


def positions():
    """Sines of the positions, which are not trained."""
    angles = np.outer(np.arange(LENGTH), 1e-4 ** np.linspace(0, 1, WIDTH // 2))
    return jnp.asarray(np.hstack([np.sin(angles), np.cos(angles)]))


class NnxBlock(nnx.Module):
    def __init__(self, rngs):
        dense = functools.partial(nnx.Linear, use_bias=False, rngs=rngs, **REAL)
        self.norm_1 = nnx.RMSNorm(WIDTH, rngs=rngs, **REAL)
        self.norm_2 = nnx.RMSNorm(WIDTH, rngs=rngs, **REAL)
        self.query, self.key = dense(WIDTH, WIDTH), dense(WIDTH, WIDTH)
        self.value, self.out = dense(WIDTH, WIDTH), dense(WIDTH, WIDTH)
        self.up, self.down = dense(WIDTH, 4 * WIDTH), dense(4 * WIDTH, WIDTH)


class NnxDecoder(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(256, WIDTH, rngs=rngs, **REAL)
        self.norm = nnx.RMSNorm(WIDTH, rngs=rngs, **REAL)
        self.position = nnx.Param(positions())
        self.blocks = nnx.vmap(NnxBlock)(rngs.split(LAYERS))

    def __call__(self, tokens):
        scanned = nnx.scan(through_block, in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        h = scanned(self.blocks, self.embed(tokens) + self.position)
        return self.embed.attend(self.norm(h))


def nnx_params(key):
    return nnx.to_pure_dict(nnx.state(NnxDecoder(nnx.Rngs(key)), nnx.Param))


def nnx_logits(params, tokens):
    model = nnx.eval_shape(lambda: NnxDecoder(nnx.Rngs(0)))
    nnx.update(model, params)
    return model(tokens)


class LinenBlock(linen.Module):
    def setup(self):
        dense = functools.partial(linen.Dense, use_bias=False, **REAL)
        self.norm_1, self.norm_2 = linen.RMSNorm(**REAL), linen.RMSNorm(**REAL)
        self.query, self.key, self.value = dense(WIDTH), dense(WIDTH), dense(WIDTH)
        self.out, self.up, self.down = dense(WIDTH), dense(4 * WIDTH), dense(WIDTH)

    def __call__(self, h):
        return through_block(self, h), None


class LinenDecoder(linen.Module):
    def setup(self):
        self.embed, self.norm = linen.Embed(256, WIDTH, **REAL), linen.RMSNorm(**REAL)
        self.position = self.param("position", lambda key: positions())
        each = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        self.blocks = linen.scan(LinenBlock, length=LAYERS, **each)()

    def __call__(self, tokens):
        h, _ = self.blocks(self.embed(tokens) + self.position)
        return self.embed.attend(self.norm(h))


def linen_params(key):
    return LinenDecoder().init(key, jnp.zeros((1, LENGTH), int))["params"]


def linen_logits(params, tokens):
    return LinenDecoder().apply({"params": params}, tokens)


MODELS = {"nnx": (nnx_params, nnx_logits), "linen": (linen_params, linen_logits)}
LAYOUT = {
    r"blocks/(query|key|value|up)/": P(None, "data", "model"),  # FSDP × tensor parallel
    r"blocks/(out|down)/": P(None, "model", "data"),
    r"embed/": P("model", None),  # not over "data": zero1 divides its moments
    r"norm|position": P(),
}


def abstract(params, mesh):
    """The shapes of the parameters, and where each belongs; no array is made."""

    def one(path, x):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        spec = next(s for pattern, s in LAYOUT.items() if re.search(pattern, name))
        where = NamedSharding(mesh, spec)
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)

    shapes = jax.eval_shape(params, jax.random.key(0))
    return jax.tree_util.tree_map_with_path(one, shapes)


def optimizer(shapes, codec):
    """Muon for the matrices of the blocks, AdamW for the rest."""
    groups = [
        ("position", None),  # frozen
        ("norm", adamx.adamw(3e-3, weight_decay=0.0)),
        ("embed", adamx.adamw(3e-3)),
        (..., adamx.muon(0.02)),
    ]
    tx = adamx.stacked(adamx.groups(groups, clip=1.0), "^blocks/")
    if codec is not None:
        tx = adamx.store(tx, mu=codec, nu=codec, momentum=codec)
    specs = jax.tree.map(lambda x: x.sharding.spec, shapes)
    mesh = jax.tree.leaves(shapes)[0].sharding.mesh
    return adamx.accumulate(adamx.zero1(tx, "data", mesh=mesh, specs=specs), 2)


def batch(k):
    starts = np.random.default_rng(k).integers(0, len(TEXT) - LENGTH, BATCH)
    return TEXT[starts[:, None] + np.arange(LENGTH + 1)].astype(np.int32)


def loss_of(params, tokens, logits):
    """The mean cross-entropy, in nats a byte, of the bytes after the first."""
    logp = jax.nn.log_softmax(logits(params, tokens[:, :-1]))
    return -jnp.take_along_axis(logp, tokens[:, 1:, None], -1).mean()


def start(params, target, tx):
    """New parameters and state, each piece made on its device."""

    def first(key):
        made = params(key)
        return made, tx.init(made)

    where = jax.tree.map(lambda x: x.sharding, target)
    return jax.jit(first, out_shardings=where)(jax.random.key(0))


@functools.partial(jax.jit, static_argnums=(3, 4), donate_argnums=(0, 1))
def step(params, state, tokens, tx, logits):
    loss, grads = jax.value_and_grad(loss_of)(params, tokens, logits)
    return adamx.step(tx, params, grads, state), loss


def place(data, model):
    """The first devices as a mesh of two Auto axes."""
    devices = np.array(jax.devices()[: data * model]).reshape(data, model)
    return Mesh(devices, ("data", "model"))


def train(kind, mesh, steps, *, codec=EIGHT, begin=None, save=None):
    """The losses of some micro-batches, and the parameters and state after them."""
    (params, logits), losses = MODELS[kind], []
    with jax.set_mesh(mesh), ocp.StandardCheckpointer() as orbax:
        shapes = abstract(params, mesh)
        tx = optimizer(shapes, codec)
        target = shapes, adamx.abstract_state(tx, shapes)
        kept = orbax.restore(begin, target) if begin else start(params, target, tx)
        for k in steps:
            tokens = jax.device_put(batch(k), NamedSharding(mesh, P("data")))
            kept, loss = step(*kept, tokens, tx, logits)
            losses.append(float(loss))
        if save:
            orbax.save(save, kept)
    return np.array(losses), kept
