"""Build everything public in a process without arrays; run by interop/test_backend.py.

It prints the names of what was built, and fails at the first that starts a backend.
"""

import inspect

import optax
from jax._src import xla_bridge  # no public name tells whether a backend has begun

import adamx
from adamx import optimizers, parts, storage
from adamx.engine.value import Value

GIVEN = {
    "tx": adamx.sgd(0.1),
    "rate": parts.LearningRate(0.1),
    "mask": "kernel",
    "dtype": "bfloat16",
    "name": "mu",
    "rank": 2,
}
GIVEN_TO = {
    ("LargestSlices", "part"): parts.Orthogonalize(),
    ("OfSlice", "stacks"): "blocks",
    ("OfSlice", "axis"): 0,
}
"""Where only one kind of part, of mask or of number is taken."""


def given(make, name):
    """A value for an argument: a part of its name, one of those above, or a number."""
    field = getattr(make, "__dataclass_fields__", {}).get(name)
    if (make.__name__, name) in GIVEN_TO:
        return GIVEN_TO[make.__name__, name]
    if name in GIVEN:
        return GIVEN[name]
    if field is not None and "part" in field.metadata:
        return parts.Debiased(parts.Ema(0.9, name=name))
    return 0.5


def build(make):
    parameters = inspect.signature(make).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty or p.name == "mask"]
    return make(**{name: given(make, name) for name in needed})


def constructors():
    for name in optimizers.__all__:
        yield name, getattr(optimizers, name)
    for namespace in (parts, optimizers, storage):
        for name, made in vars(namespace).items():
            if isinstance(made, type) and issubclass(made, Value):
                yield name, made


def around_an_optimizer():
    """What is made of an optimizer, and what asks after it."""
    eight_bits = storage.Blockwise(bits=8)
    yield adamx.chain(parts.WeightDecay(0.1), adamx.adam(0.1), optax.scale(0.5))
    yield adamx.tunable(adamx.adafactor(0.1), "learning_rate")
    yield adamx.tunable(adamx.schedule_free_adamw(0.1, 3), "learning_rate")
    yield adamx.store(adamx.adam(0.1), mu=eight_bits, nu=eight_bits)
    yield adamx.stacked(adamx.came(0.1), "layers")
    yield adamx.cautious(adamx.adamw(0.1))
    yield adamx.chain(adamx.adam(0.1), adamx.split_master())
    yield adamx.chain(adamx.adam(0.1), adamx.stochastic_rounding())


def check(name):
    assert not xla_bridge._backends, f"{name} starts a backend"


def main():
    check("import adamx")
    for name, make in constructors():
        build(make)
        check(name)
        print(name)
    for tx in around_an_optimizer():
        _ = (repr(tx), hash(tx), tx == adamx.adam(0.1), tx.init, tx.update)
        check(repr(tx))


if __name__ == "__main__":
    main()
