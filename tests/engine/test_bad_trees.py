"""Bad leaves, trees, masks and states get one sentence, before anything is computed."""

import jax
import jax.numpy as jnp
import optax
import pytest

import adamx
from adamx import Masked, adam, adamw, sgd, tunable
from adamx.parts import Ema, IndependentWeightDecay, WeightDecay
from tests.support.error_messages import PARAMS, assert_told, step


def init(tx, w):
    return tx.init({"layer": {"w": w}})


def layer(w=None, **leaves):
    return {"layer": {"w": jnp.ones((2, 3)) if w is None else w, **leaves}}


# name: (the mistake, the beginning of the sentence, its remedy)
SHAPES = "Pass the gradient of this parameter."
STRUCTURE = "Pass the gradients of the same parameters that `init` was given."
FLOATING = "Keep counters and indices out of the parameters, or mask them with"
SPLIT = "optax.contrib.split_real_and_imaginary."
ARRAYS = "Pass the arrays only, for example eqx.filter(model, eqx.is_inexact_array),"
CASES = {
    # Leaves.
    "text among the parameters": (
        lambda: init(adam(0.1), "hello"),
        "init: every leaf of the parameters must be an array, `layer/w` is not,",
        ARRAYS,
    ),
    "number among the parameters": (
        lambda: init(adam(0.1), 1),
        "init: every leaf of the parameters must be an array, `layer/w` is not,",
        ARRAYS,
    ),
    "function among the parameters": (
        lambda: init(adam(0.1), jnp.tanh),
        "init: every leaf of the parameters must be an array, `layer/w` is not,",
        ARRAYS,
    ),
    "integer parameter": (
        lambda: init(adam(0.1), jnp.arange(3)),
        "init: every parameter must be floating, `layer/w` is not, got dtype int32.",
        FLOATING,
    ),
    "boolean parameter": (
        lambda: init(sgd(0.1), jnp.ones(3, bool)),
        "init: every parameter must be floating, `layer/w` is not, got dtype bool.",
        FLOATING,
    ),
    "random key": (
        lambda: init(adam(0.1), jax.random.key(0)),
        "init: every parameter must be floating, `layer/w` is not, got dtype key",
        FLOATING,
    ),
    "complex parameter": (
        lambda: init(adam(0.1), jnp.ones(3) * 1j),
        "init: every parameter must be real, `layer/w` is not, got dtype complex64.",
        SPLIT,
    ),
    "integer gradient": (
        lambda: step(adam(0.1), layer(jnp.ones((2, 3), int), b=jnp.ones(3))),
        "update: every update must be real and floating, `layer/w` is not,",
        "Differentiate with respect to floating parameters only;",
    ),
    "complex gradient": (
        lambda: step(adam(0.1), layer(jnp.ones((2, 3)) * 1j, b=jnp.ones(3))),
        "update: every update must be real and floating, `layer/w` is not,",
        SPLIT,
    ),
    "text among the gradients": (
        lambda: step(adam(0.1), layer("x", b=jnp.ones(3))),
        "update: every update must be an array, `layer/w` is not, got str 'x'.",
        "Pass jnp.asarray(number), or None for a leaf without a gradient.",
    ),
    # Trees.
    "a leaf too few": (
        lambda: step(adam(0.1), layer()),
        "update: params must have the structure of the updates,",
        STRUCTURE,
    ),
    "another container": (
        lambda: step(adam(0.1), [jnp.ones(3)]),
        "update: params must have the structure of the updates,",
        STRUCTURE,
    ),
    "another structure, without parameters": (
        lambda: step(adam(0.1), layer(), params=None),
        "must have the structure of the updates,",
        STRUCTURE,
    ),
    "transposed gradient": (
        lambda: step(adam(0.1), layer(jnp.ones((3, 2)), b=jnp.ones(3))),
        "update: updates and params must have equal shapes, got (3, 2) and (2, 3) at"
        " `layer/w`.",
        SHAPES,
    ),
    "transposed gradient, without parameters": (
        lambda: step(adam(0.1), layer(jnp.ones((3, 2)), b=jnp.ones(3)), None),
        "update: updates must have the shapes that `init` was given, got (3, 2) for"
        " `layer/w`,",
        "Pass the gradients of the same parameters.",
    ),
    "gradient where there is no parameter": (
        lambda: adam(0.1).update(
            {"a": jnp.ones(2)}, adam(0.1).init({"a": None}), {"a": None}
        ),
        "update: ",
        "",
    ),
    "gradients of other parameters": (
        lambda: step(adam(0.1), state=adam(0.1).init({"q": jnp.ones(2)})),
        "update: the slot `mu` must have the structure of the updates,",
        STRUCTURE,
    ),
    "no parameters for adamw": (
        lambda: step(adamw(0.1), params=None),
        "update: WeightDecay needs the parameters, got params=None.",
        "Call tx.update(updates, state, params).",
    ),
    "no parameters for a part": (
        lambda: step(IndependentWeightDecay(0.1), params=None),
        "update: IndependentWeightDecay needs the parameters, got params=None.",
        "Call tx.update(updates, state, params).",
    ),
    "no parameters, inside optax.chain": (
        lambda: step(optax.chain(adam(0.1), WeightDecay(0.1)), params=None),
        "update: WeightDecay needs the parameters, got params=None.",
        "Call tx.update(updates, state, params).",
    ),
    "no state": (
        lambda: adam(0.1).update(PARAMS, None, PARAMS),
        "update: `state` must be the state that `init` returned, got None.",
        "Call tx.update(updates, state, params).",
    ),
    "state of Optax": (
        lambda: step(adam(0.1), state=optax.adam(0.1).init(PARAMS)),
        "update: `state` must be the state that `init` returned, got an Optax tuple of",
        "Convert it with adamx.restore(tx, state, params).",
    ),
    "state of another optimizer": (
        lambda: step(adam(0.1), state=sgd(0.1).init(PARAMS)),
        "update: the state must hold the slots ['mu', 'nu'],",
        "complete it with adamx.restore(tx, state, params).",
    ),
    "state of a constant under an array": (
        lambda: step(adam(0.1, b1=jnp.float32(0.9)), state=adam(0.1).init(PARAMS)),
        "update: the state must hold the slots ['mu', 'mu_weight', 'nu'],",
        "complete it with adamx.restore(tx, state, params).",
    ),
    # Masks.
    "a mask that is no expression": (
        lambda: adamw(0.1, mask="("),
        "adamw: `mask` must be a valid regular expression, got '('",
        "It is searched for in paths such as 'layers/0/kernel'.",
    ),
    "a mask of another tree": (
        lambda: step(adamw(0.1, mask={"x": True})),
        "mask: it must have the structure of the parameters or be a prefix of it,",
        "",
    ),
    "a mask of text": (
        lambda: step(adamw(0.1, mask={"layer": {"w": True, "b": "x"}})),
        "mask: its leaves must be True or False, got 'x'.",
        "A mask is decided while tracing: compute it from shapes and paths",
    ),
    "a mask that is an array": (
        lambda: step(adamw(0.1, mask=jnp.asarray([True]))),
        "mask: its leaves must be True or False, got ",
        "A mask is decided while tracing: compute it from shapes and paths",
    ),
    "a mask of three arguments": (
        lambda: adamw(0.1, mask=lambda a, b, c: True),
        "adamw: a callable `mask` must take the parameters, or a path and a leaf",
        "Write `lambda params: ...` or `lambda path, leaf: ...`.",
    ),
    "no mask for Masked": (
        lambda: Masked(Ema(0.9), None),
        "Masked: `mask` must say which leaves, got None.",
        "Use the part itself to act on all of them.",
    ),
    # Hyperparameters in the state, and saved states.
    "an unknown name": (
        lambda: tunable(adam(0.1), "b3"),
        "tunable: every name must be a hyperparameter of chain(",
        "There is 'b1', 'b2', 'eps', 'learning_rate'.",
    ),
    "no name": (
        lambda: tunable(adam(0.1)),
        "tunable: at least one hyperparameter must be named, got none.",
        "There is 'b1', 'b2', 'eps', 'learning_rate'.",
    ),
    "tunable Optax": (
        lambda: tunable(optax.adam(0.1), "learning_rate"),
        "tunable: `tx` must be an adamx transformation, got",
        "For others there is optax.inject_hyperparams.",
    ),
    "a name that is not in the state": (
        lambda: adamx.replace_hyperparams(tunable(adam(0.1), "b1").init(PARAMS), b2=1),
        "replace_hyperparams: every name must be in the state, got 'b2'.",
        "There is 'b1'.",
    ),
    "a vector for a number": (
        lambda: adamx.replace_hyperparams(
            tunable(adam(0.1), "b1").init(PARAMS), b1=jnp.ones(3)
        ),
        "replace_hyperparams: `b1` must be one number, like the one in the state,",
        "Pass a Python number or an array of the same shape.",
    ),
    "a state that was not made tunable": (
        lambda: adamx.hyperparams(adam(0.1).init(PARAMS)),
        "hyperparams: the state must come from adamx.tunable, got State.",
        "Wrap the transformation: tunable(tx, 'learning_rate').",
    ),
    "restored from another optimizer": (
        lambda: adamx.restore(adam(0.1), sgd(0.1, 0.9).init(PARAMS), PARAMS),
        "restore: the saved state must hold the slot `mu`, got ['momentum'].",
        "Pass missing='init' to begin it anew, or start afresh with tx.init(params).",
    ),
    "restored for other parameters": (
        lambda: adamx.restore(
            adam(0.1), adam(0.1).init(layer(jnp.ones(1), b=jnp.ones(3))), PARAMS
        ),
        "restore: the slot `mu` of `layer/w` must have the shape and the kind of",
        "Pass the parameters the state was made for",
    ),
    "restored from no optimizer": (
        lambda: adamx.restore(adam(0.1), optax.clip(0.1).init(PARAMS), PARAMS),
        "restore: `saved` must be the state of a transformation of adamx, or of Optax",
        "Restore it with the structure of the transformation that saved it first.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gets_a_sentence(name):
    assert_told(*CASES[name])
