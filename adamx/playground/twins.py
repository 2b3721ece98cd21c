"""Each optimizer as two JavaScript functions: how its state begins, and a step.

They are translated from the jaxprs of the transformation on one array of two float64
parameters, with the hyperparameters as inputs.
"""

import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..descriptions.kinds import kind_of
from ..descriptions.registry import create, registered
from ..engine.hyperparams import by_name, interval_of, is_constant, public_name, rewrite
from ..engine.paths import leaves_by_path
from ..engine.value import Value
from ..errors import Interval
from . import javascript
from .jaxprs import program
from .scalars import Program, inputs

LEFT_OUT = ("Matrices", "Low rank")
"""The kinds of optimizers that differ from others on matrices only."""

RATE = 0.05
"""The learning rate from which the optimizers start, but for those of RATES."""

PROPORTIONAL = ("sgd", "schedule_free_sgd", "msvag")
"""Those whose steps are proportional to the gradient: each surface has their rate."""

RATES = {
    "adabound": 0.02,
    "adadelta": 1.0,
    "adagrad": 0.4,
    "adahessian": 0.2,
    "avagrad": 0.1,
    "dadapt_adamw": 1.0,
    "dog": 1.0,
    "dowg": 1.0,
    "lars": 20.0,
    "lion": 0.02,
    "prodigy": 1.0,
    "signum": 0.02,
    "sm3": 0.2,
    "sophia": 0.05,
}

ARGUMENTS = ("h", "g", "d", "s", "p")
"""Hyperparameters, gradient, diagonal of the Hessian, state, parameters."""


class Slot(NamedTuple):
    """What a state keeps for each parameter: its name, and where its two numbers are.

    `place` is the place of the first in the list of the state's numbers.
    """

    name: str
    place: int


class Twin(NamedTuple):
    """An optimizer as JavaScript.

    Attributes:
        transformation: what was translated.
        hyperparameters: their values by public name, in the order of `h`.
        slots: the moments, and others that have a number for each parameter.
        init: the program of `(h, p)`, which gives the state.
        step: the program of `(h, g, d, s, p)`, which gives the update and the state.
    """

    transformation: Any
    hyperparameters: dict[str, float]
    slots: tuple[Slot, ...]
    init: Program
    step: Program

    def javascript(self) -> tuple[str, str]:
        """Return the two functions as text."""
        return (
            javascript.function(self.init, ["h", "p"]),
            javascript.function(self.step, ARGUMENTS),
        )


def names() -> list[str]:
    """Return the names of the optimizers that the playground has."""
    return [name for name in registered() if kind_of(name) not in LEFT_OUT]


def left_out() -> list[str]:
    """Return the names of the optimizers that it has not."""
    return [name for name in registered() if kind_of(name) in LEFT_OUT]


def built(name: str) -> Any:
    """Return an optimizer with the rate from which the playground starts it.

    One that goes around another optimizer goes around Adam.
    """
    takes = inspect.signature(registered()[name]).parameters
    rate = RATES.get(name, RATE)
    given: dict[str, Any] = {}
    if "tx" in takes:
        given["tx"] = create("adam", rate)
    default = takes["learning_rate"].default if "learning_rate" in takes else None
    if default is inspect.Parameter.empty or isinstance(default, float):
        given["learning_rate"] = rate
    return create(name, **given)


def hyperparameters(tx: Any) -> dict[str, float]:
    """Return the numbers that can be changed, each public name that has one value."""
    found = {
        name: set(filter(is_constant, values)) for name, values in by_name(tx).items()
    }
    return {name: min(values) for name, values in found.items() if len(values) == 1}


def allowed(tx: Any) -> dict[str, list[Interval]]:
    """Return the intervals in which each hyperparameter must lie, by public name."""
    return by_name(tx, interval_of)


def changed(tx: Any, values: dict[str, Any]) -> Any:
    """Return a transformation with other numbers in the place of its own.

    They may be outside of the allowed ranges, or traced.
    """

    def put(owner: Value, field: str, old: Any) -> Any:
        return values.get(public_name(owner, field), old) if is_constant(old) else old

    return rewrite(tx, put)


def twin(tx: Any) -> Twin:
    """Translate a transformation.

    Raises:
        ValueError: its step uses a primitive that has no translation.
    """
    known = hyperparameters(tx)
    with jax.enable_x64(True):
        number = jax.ShapeDtypeStruct((), jnp.float64)
        pair = jax.ShapeDtypeStruct((2,), jnp.float64)
        values = dict.fromkeys(sorted(known), number)  # in the order of a tree's leaves
        h = (values, [inputs("h", (), i) for i in range(len(values))])
        p = (pair, [inputs("p", (2,))])

        def init(values: Any, p: Any) -> Any:
            return changed(tx, values).init(p)

        begun, state = program(init, h, p)
        begun.finish(_numbers(state))

        def step(values: Any, g: Any, d: Any, s: Any, p: Any) -> Any:
            return changed(tx, values).update(g, s, p, hessian=d)

        shapes = jax.eval_shape(init, values, pair)
        leaves, slots = _placed(shapes)
        g, d = (pair, [inputs("g", (2,))]), (pair, [inputs("d", (2,))])
        stepped, (update, after) = program(step, h, g, d, (shapes, leaves), p)
        stepped.finish(update, _numbers(after))
    ordered = {name: known[name] for name in values}
    return Twin(tx, ordered, tuple(slots), begun, stepped)


def _numbers(state: Any) -> list[Any]:
    return [x for leaf in jax.tree.leaves(state) for x in np.ravel(leaf)]


def _placed(shapes: Any) -> tuple[list[np.ndarray], list[Slot]]:
    """Return the inputs that are a state, and its slots."""
    place, leaves, slots = 0, [], []
    for path, leaf in leaves_by_path(shapes):
        leaves.append(inputs("s", leaf.shape, place))
        if leaf.shape == (2,) and jnp.issubdtype(leaf.dtype, jnp.floating):
            slots.append(Slot(path.split("/")[-1], place))
        place += leaf.size
    return leaves, slots
