"""Every option, an argument that is not a hyperparameter, has a range and a sentence.

The options are found by the annotations of the fields of all rules and of the keywords
of all functions, so a new one that has no range fails here.
"""

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import chain
from adamx.engine import options
from adamx.engine.options import Range
from adamx.parts import Ema
from tests.support.error_messages import PARAMS, message

NAMESPACES = (adamx, adamx.parts, adamx.optimizers)


def _classes():
    """The public classes whose fields are checked when they are built."""
    found = {
        name: thing
        for namespace in NAMESPACES
        for name, thing in vars(namespace).items()
        if isinstance(thing, type) and hasattr(thing, "__post_init__")
        if dataclasses.is_dataclass(thing)
    }
    return dict(sorted(found.items()))


def _functions():
    return {name: getattr(adamx, name) for name in sorted(adamx.optimizers.__all__)}


# Classes with messages of their own: storage/test_errors.py, test_bad_arguments.py.
ELSEWHERE = {"StochasticRounding", "SplitMaster", "Chain"}

FIELDS = [
    pytest.param(cls, field, id=f"{name}-{field.name}")
    for name, cls in _classes().items()
    if name not in ELSEWHERE
    for field in dataclasses.fields(cls)
    if field.init and not {"hyper", "part"} & field.metadata.keys()
]


def kind(annotation):
    """The kind of an option, None where anything may stand."""
    for one in options.kinds(annotation):
        if get_origin(one) is tuple and Any in get_args(one):
            continue
        if (get_origin(one) or one) in (bool, int, float, str, tuple, Callable):
            return get_origin(one) or one
    return None


ARGUMENTS = [
    pytest.param(name, parameter, id=f"{name}-{parameter.name}")
    for name, function in _functions().items()
    for parameter in inspect.signature(function).parameters.values()
    if kind(parameter.annotation) is not None or parameter.name == "axis_name"
]

NAN = float("nan")
TRACED = object()
"""Stands for an array that is traced."""
WRONG = {
    bool: ("x", 1.5, 1, NAN, TRACED),
    int: ("x", 1.5, True, NAN, TRACED),
    float: ("x", True, NAN, float("inf"), TRACED),
    str: (1.5, True, "", TRACED),
    tuple: ("x", 1.5, True, ("x",), (NAN,), TRACED),
    Callable: ("x", 1.5, True, TRACED),
}
NUMBERS = (int, float)


def outside(bounds):
    """Numbers just outside a range."""
    if bounds.least is not None:
        yield bounds.least - 1
    if bounds.above is not None:
        yield bounds.above
    if bounds.most is not None:
        yield bounds.most + 1
    if bounds.below is not None:
        yield bounds.below


def wrong_values(name, annotation, bounds):
    if name == "axis_name":
        return (1.5, True, ("x", 1), TRACED)
    of = kind(annotation)
    return (*WRONG.get(of, ()), *(outside(bounds) if of in NUMBERS else ()))


# What each class needs besides the option: a rule for each part.
def needed(cls, but):
    given = {}
    for field in dataclasses.fields(cls):
        if field.name == but or not field.init:
            continue
        if "part" in field.metadata:
            given[field.name] = adamx.Chain.rule.fget(chain(Ema(0.9)))
        elif field.default is dataclasses.MISSING:
            given[field.name] = 0.5
    return given


def refused(build, value):
    """The message for a value, or for an array while it is traced."""
    if value is TRACED:
        return message(lambda: jax.eval_shape(build, jnp.ones((), jnp.int32)))
    return message(lambda: build(value))


@pytest.mark.parametrize(("cls", "field"), FIELDS)
def test_a_field_with_a_wrong_value_is_refused(cls, field):
    bounds = field.metadata.get("option", Range())
    given = needed(cls, field.name)
    for wrong in wrong_values(field.name, field.type, bounds):
        text = refused(lambda x: cls(**given, **{field.name: x}), wrong)
        assert text.startswith(f"{cls.__name__}: `{field.name}"), (wrong, text)
        assert re.search(r" must .*, got .*\. \S.*\.$", text), (wrong, text)


@pytest.mark.parametrize(("cls", "field"), FIELDS)
def test_a_field_that_is_a_number_has_a_range(cls, field):
    if kind(field.type) in NUMBERS:
        assert field.metadata.get("option", Range()).declared


NEEDED = {"learning_rate": 1e-3, "tx": adamx.adam(1e-3)}


def build_with(name):
    """The function of that name, with what it requires."""
    function = getattr(adamx, name)
    known = inspect.signature(function).parameters
    required = [n for n, p in known.items() if p.default is inspect.Parameter.empty]
    given = {n: NEEDED[n] for n in required}
    return lambda **words: function(**given, **words)


# Keywords that stay Any, since the value may be of several kinds, with what is checked
# elsewhere: masks in engine/test_masks.py, `tx` in engine/test_mistakes.py, betas.
ANYTHING = {"mask", "muon_mask", "mars_mask", "trust_ratio_mask", "normalized"}
ANYTHING |= {"tx", "betas", "beta3", "dion_mask", "hidden_mask", "output_mask"}
ANYTHING |= {"hyperball_mask"}
# and in parts/test_orthogonal.py, parts/test_matrix_axes.py:
ANYTHING |= {"axes", "coefficients", "iteration", "precision", "spread"}


@pytest.mark.parametrize(("name", "parameter"), ARGUMENTS)
def test_an_argument_with_a_wrong_value_is_refused_by_the_function(name, parameter):
    build, keyword = build_with(name), parameter.name
    for wrong in wrong_values(keyword, parameter.annotation, Range()):
        text = refused(lambda x: build(**{keyword: x}), wrong)
        assert text.startswith(f"{name}: `{keyword}"), (wrong, text)
        assert re.search(r" must .*, got .*\. \S.*\.$", text), (wrong, text)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [case for case in ARGUMENTS if kind(case.values[1].annotation) in NUMBERS],
)
def test_an_argument_that_is_a_number_has_a_range(name, parameter):
    sign = 1 if parameter.name == "exponent" else -1
    text = message(lambda: build_with(name)(**{parameter.name: sign * 10**6}))
    assert text.startswith(f"{name}: `{parameter.name}` must be a "), text
    assert re.search("at least|at most", text)


def test_every_other_argument_is_a_hyperparameter_or_checked_elsewhere():
    """A keyword of another annotation must be given one, or a reason above."""
    unknown = {
        f"{name}({keyword})"
        for name, function in _functions().items()
        for keyword, parameter in inspect.signature(function).parameters.items()
        if kind(parameter.annotation) is None
        and "scalar or schedule" not in str(parameter.annotation)
        and keyword not in ANYTHING | {"axis_name"}
    }
    assert unknown == set()


# The values that were once accepted and did nothing, or something else.
ONCE_SILENT = {
    "galore: `rank` must be a whole number, at least 1, got 0.": lambda: adamx.galore(
        1e-3, rank=0
    ),
    "muon: `ns_steps` must be a whole number, at least 1, got 0.": lambda: adamx.muon(
        ns_steps=0
    ),
    "sophia: `update_interval` must be a whole number, at least 1, got 0.": (
        lambda: adamx.sophia(1e-3, update_interval=0)
    ),
    "soap: `precondition_frequency` must be a whole number, got nan.": (
        lambda: adamx.soap(precondition_frequency=NAN)
    ),
    "adamp: `channel_axis` must be a whole number, at least -1, at most 0, got 7.": (
        lambda: adamx.adamp(channel_axis=7)
    ),
    "muon: `coefficients` must be a tuple of 3 numbers, got (1.0, 2.0).": (
        lambda: adamx.muon(coefficients=(1.0, 2.0))
    ),
    "muon: `consistent_rms` must be at least 0, got -1.0.": (
        lambda: adamx.muon(consistent_rms=-1.0)
    ),
}


@pytest.mark.parametrize("beginning", ONCE_SILENT)
def test_what_did_nothing_is_refused(beginning):
    assert message(ONCE_SILENT[beginning]).startswith(beginning)


def test_numbers_of_numpy_are_numbers():
    assert adamx.muon(ns_steps=np.int64(3)) == adamx.muon(ns_steps=3)
    assert adamx.sgd(0.1, 0.9, nesterov=np.bool_(True)) == adamx.sgd(
        0.1, 0.9, nesterov=True
    )
    tx = adamx.shampoo(0.1, exponent=np.float32(-0.5))
    tx.update(PARAMS, tx.init(PARAMS), PARAMS)


def test_a_rule_of_a_users_own_has_its_options_checked():
    class Repeated(adamx.Rule):
        steps: int = 2

        def apply(self, update, slots, ctx):
            return update * self.steps, slots

    assert Repeated(3).steps == 3
    with pytest.raises(TypeError, match="Repeated: `steps` must be a whole number"):
        Repeated(1.5)


def test_an_array_in_the_place_of_an_option_is_told_to_be_static():
    text = message(lambda: adamx.galore(0.1, rank=jnp.array(5)))
    assert text.startswith("galore: `rank` must be known when the program is built")
    assert "static_args=('rank', 'update_proj_gap', 'mask')" in text


def test_options_are_no_hyperparameters_of_inject_hyperparams():
    """It would make arrays of them; no `static_args` are needed."""
    state = optax.inject_hyperparams(adamx.galore)(0.1, rank=2).init(PARAMS)
    known = inspect.signature(adamx.galore).parameters
    assert set(state.hyperparams) == {
        name for name, p in known.items() if "scalar or schedule" in str(p.annotation)
    }


def test_the_default_of_every_option_is_in_its_range():
    for case in FIELDS:
        cls, field = case.values
        bounds: Any = field.metadata.get("option", Range())
        if kind(field.type) in NUMBERS and field.default is not None:
            assert field.default in bounds, (cls, field.name)
