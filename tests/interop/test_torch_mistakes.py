"""What `adamx.interop.torch` refuses."""

import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx.interop import torch as states
from adamx.interop.torch import Weight, conv, linear
from adamx.parts import EpsBeforeCorrection, MatrixAxes
from tests.support.torch_state_dicts import (
    MUON,
    NAMES,
    PARAMS,
    SGD,
    adamw,
    moved,
    one,
    state,
    weights,
    without,
)

KERNEL = {"params": {"w": jnp.zeros((3, 3, 4, 2))}, "names": {"w": conv("w")}}
TIED = {"a": "w", "b": "w"}
TWO = {"w": jnp.zeros(2)}
ADAFACTOR = {
    "lr": 0.1,
    "beta2_decay": -0.8,
    "eps": (None, 1e-3),
    "d": 1.0,
    "weight_decay": 0.0,
}
RPROP = {"lr": 0.0, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50)}

WRONG = {
    "the class is not given": (
        lambda: state(adamw()["AdamW"]),
        "must be a mapping from classes of torch.optim to state_dicts",
    ),
    "an optimizer adamx does not have": (
        lambda: state({"ASGD": adamw()["AdamW"]}),
        r"must be one of torch.optim whose state adamx reads, got 'ASGD'. These are SGD"
        r", Adam, .*, Rprop, SparseAdam; start another anew",
    ),
    "not a state_dict": (
        lambda: state({"AdamW": weights()}),
        "must have `state` and `param_groups`, got 'fc.weight'",
    ),
    "numbers without names": (
        lambda: state(without(adamw(), "param_names")),
        "must name their parameters, got numbers. Make the optimizer from",
    ),
    "maximize": (lambda: state(adamw(maximize=True)), "Pass the negative gradients"),
    "AdamW as Adam": (
        lambda: state({"Adam": adamw(decoupled_weight_decay=True)["AdamW"]}),
        "`decoupled_weight_decay` of Adam must be False, got True. It is the state",
    ),
    "an option without a counterpart": (
        lambda: state(adamw(cautious=True)),
        "every option of AdamW must be one of torch 2.13, got 'cautious'",
    ),
    "an option missing": (
        lambda: state(without(adamw(), "eps")),
        "must hold their hyperparameters, got none for 'eps'",
    ),
    "a scheduler": (
        lambda: state(adamw(initial_lr=0.1)),
        "got lr=0.01 and initial_lr=0.1 without. Pass factor=",
    ),
    "other hyperparameters": (
        lambda: state(adamw(), adamx.adamw(0.1, b2=0.99)),
        r"must be those of AdamW in the state_dict, got .*b2=0.99 for 0.999 in torch",
    ),
    "a decay that is not there": (
        lambda: state(adamw(), adamx.adam(0.01)),
        "weight_decay=0.0 for 0.1 in torch",
    ),
    "a decay too many": (
        lambda: state(adamw(weight_decay=0.0), adamx.adamw(0.01, weight_decay=0.1)),
        "weight_decay=0.1 for 0.0 in torch",
    ),
    "another kind of eps": (
        lambda: state(
            adamw(), adamx.adamw(0.01, eps=EpsBeforeCorrection(1e-8), weight_decay=0.1)
        ),
        r"eps=EpsBeforeCorrection\(\) for 1e-08",
    ),
    "another algorithm": (
        lambda: state(adamw(), adamx.lion(0.01), check=False),
        "restore: everything saved must have a place, got slots",
    ),
    "a moment is missing": (
        lambda: state(moved(adamw(), 1, exp_avg=...)),
        "the saved state must hold the slot `mu` of `fc/bias`",
    ),
    "a moment too many": (
        lambda: state(moved(adamw(), 1, max_exp_avg_sq=np.ones(3))),
        "the state of 'fc.bias' must be that of AdamW with these options, got 'max_exp",
    ),
    "different steps": (
        lambda: state(moved(adamw(), 1, step=np.float32(3))),
        r"must have taken the same steps, .* got 3 \(fc.bias\), 5 \(fc.weight\)",
    ),
    "another number of steps": (
        lambda: state(adamw(), steps=7),
        r"got 5 \(fc.weight\), 7 \(steps=\)",
    ),
    "steps that are not counted": (
        lambda: state(one("SGD", SGD)),
        "`steps` must be given, since torch does not count the steps of SGD",
    ),
    "a name that is not there": (
        lambda: state(one("SGD", SGD, ["fc.wieght"])),
        "must be in `names`, got 'fc.wieght'. Did you mean 'fc.weight'",
    ),
    "one parameter in two optimizers": (
        lambda: state(adamw() | one("SGD", SGD)),
        "must be in one group of one optimizer, got 'fc.weight' twice",
    ),
    "two parameters for one leaf": (
        lambda: state(one("SGD", SGD, ["a", "b"]), params=TWO, names=TIED),
        "each leaf must be one parameter of torch's optimizer, got two for 'w'",
    ),
    "no parameter": (
        lambda: state(one("SGD", SGD, [])),
        "the optimizers must have a parameter, got none",
    ),
    "other axes of Adafactor": (
        lambda: state(
            one("Adafactor", ADAFACTOR, ["w"]),
            params={"w": jnp.zeros((2, 3, 4))},
            names={"w": Weight("w", (1, 0), shape=(12, 2))},
        ),
        r"a leaf of Adafactor must have the axes that it has in torch, got Weight",
    ),
    "axes that torch does not factor": (
        lambda: state(
            one("Adafactor", ADAFACTOR, ["w"]),
            adamx.adafactor(0.1, 0, eps=1e-7, axes=MatrixAxes(1, 0)),
            check=False,
            **KERNEL,
        ),
        r"must factor the axes \(0, 1\) of `w`, of shape \(3, 3, 4, 2\), as torch "
        r"does, got the rows \(1,\) and the columns \(0,\). Pass axes=MatrixAxes\(0, 1",
    ),
    "a rate of Rprop": (
        lambda: state(one("Rprop", RPROP)),
        r"`lr` of Rprop must be above 0, .* got 0.0. Set group\['lr'\] to the first",
    ),
    "a vector of Muon": (
        lambda: state(one("Muon", MUON, ["fc.bias"])),
        r"a leaf of Muon must be a matrix as in torch, got Weight\('fc/bias'",
    ),
    "a scale of Muon": (
        lambda: state(one("Muon", {**MUON, "adjust_lr_fn": "other"})),
        "`adjust_lr_fn` of Muon must be original, match_rms_adamw or spectral",
    ),
    "dtypes of Adafactor": (
        lambda: state(
            one("Adafactor", ADAFACTOR, ["a", "b"]),
            params={"a": jnp.zeros(2), "b": jnp.zeros(2, jnp.bfloat16)},
            names={"a": "a", "b": "b"},
        ),
        r"must have one dtype where `eps` is None, .*got \['bfloat16', 'float32'\]",
    ),
    "means of no matrix": (
        lambda: state(
            one(
                "Adafactor",
                ADAFACTOR,
                state={
                    "fc.weight": {
                        "step": np.float32(1),
                        "row_var": np.ones(3),
                        "col_var": np.ones((1, 4)),
                    }
                },
            )
        ),
        r"`row_var` of `fc/kernel` must be the means of a leaf of shape \(4, 3\), got "
        r"the shape \(3,\)",
    ),
    "names that are no mapping": (
        lambda: state(adamw(), names=["fc.weight"]),
        "`names` must be a mapping from names of torch to paths",
    ),
    "a path that is not there": (
        lambda: state(adamw(), names={**NAMES, "x": "fc/kernal"}),
        "must lead to leaves of the parameters, got 'fc/kernal' for 'x'. Did you mean",
    ),
    "a leaf without a name": (
        lambda: state(adamw(), names={"fc.weight": NAMES["fc.weight"]}),
        "must name every leaf of the parameters, got none for 'fc/bias'",
    ),
    "axes of no transposition": (
        lambda: Weight("w", (1, 1)),
        r"the numbers of all axes of torch's array, got \(1, 1\)",
    ),
    "axes of another array": (
        lambda: states.params_from_torch(
            weights(), PARAMS, {**NAMES, "fc.bias": linear("fc/bias")}
        ),
        r"must be those of torch's array, got \(1, 0\) for the shape \(3,\)",
    ),
    "a weight that is not transposed": (
        lambda: states.params_from_torch(
            weights(), PARAMS, {**NAMES, "fc.weight": "fc/kernel"}
        ),
        r"have the shape of the leaf, \(4, 3\), .* got \(3, 4\). Use linear\(path\)",
    ),
    "another shape": (
        lambda: states.params_from_torch(
            weights(**{"fc.bias": np.ones(5)}), PARAMS, NAMES
        ),
        r"have the shape of the leaf, \(3,\), .* got \(5,\). Pass `shape=`",
    ),
    "an array that is missing": (
        lambda: states.params_from_torch(weights(**{"fc.bias": None}), PARAMS, NAMES),
        "`state_dict` must hold 'fc.bias', got 'fc.weight'",
    ),
    "no array": (
        lambda: states.params_from_torch(
            weights(**{"fc.bias": object()}), PARAMS, NAMES
        ),
        "`fc.bias` must be an array, got <object",
    ),
    "tied weights that differ": (
        lambda: states.params_from_torch(
            {"a": np.ones(2), "b": np.zeros(2)}, TWO, TIED
        ),
        "the weights tied in `w` must hold the same numbers, got others in 'b'",
    ),
    "a moment that adamx does not keep": (
        lambda: states.state_to_torch(
            adamx.lion(0.01),
            adamx.lion(0.01).init(PARAMS)._replace(count=jnp.int32(1)),
            PARAMS,
            NAMES,
            adamw(),
            check=False,
        ),
        r"must hold `nu` of 'fc/kernel', which AdamW keeps, got \['mu'\]",
    ),
    "no state": (
        lambda: states.state_to_torch(
            adamx.adamw(0.01, weight_decay=0.1), {}, PARAMS, NAMES, adamw()
        ),
        "`state` must hold one state of adamx, got 0 in dict",
    ),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
