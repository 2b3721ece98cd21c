"""Optax's own tests, run on the functions of `adamx.interop.optax`.

    python -m tests.interop.optax_suite [--whole] [pytest's arguments]

The wheel of Optax has its tests inside. Each function that adamx has too is put in the
place of Optax's, in every module of Optax, and then the tests of Optax run as they are.
A test that must fail is in `DEPARTURES`, with the reason; the run fails if another one
does, or if one of these passes.
"""

import importlib.util
import pathlib
import sys
import types

import optax
import pytest

import adamx.interop.optax as swapped

VERSION = "0.2.8"

TESTS = (
    "optax._src.alias_test",
    "optax._src.transform_test",
    "optax.contrib._common_test",
    "optax.contrib._muon_test",
    "optax.contrib._sam_test",
    "optax.contrib._schedule_free_test",
    "optax.schedules._inject_test",
    "optax.transforms._accumulation_test",
    "optax.transforms._combining_test",
    "optax.transforms._conditionality_test",
    "optax.transforms._masking_test",
    "optax.tree_utils._state_utils_test",
)
"""The modules of Optax's tests that call an optimizer or a `scale_by_` function."""

DEPARTURES = {
    "ExtraArgsTest::test_extra_args": "the updates are Python numbers; adamx wants "
    "arrays, and says which leaf is none",
}
"""The end of a test's name, and why it fails."""

SLOW = (
    "test_optimization",  # 10,000 steps of each optimizer
    "test_optimizers and not (accept or wrapped)",  # 30,000 steps
    "LBFGS",  # not adamx's, and it needs scikit-learn
    "multi_steps_mixed_precision",  # the dtypes of MultiSteps, 90 steps untraced
    "test_newton_schulz",  # a function of Optax's own, which adamx does not replace
    "shard_stability",  # the state of each optimizer and dtype after a step
    "gradient_accumulation",  # MultiSteps around each optimizer and dtype
    "ContribTest and accept_extra_args",  # each optimizer; the others are not slow
)
"""Parts of the names of tests that run only with --whole."""


def functions():
    """The functions that are swapped: Optax's, and what is in its place."""
    for here, there in ((swapped, optax), (swapped.contrib, optax.contrib)):
        for name, new in vars(here).items():
            if hasattr(new, "built_of_adamx") and hasattr(there, name):
                yield getattr(there, name), new


def swap():
    """Put the functions of adamx into every module of Optax."""
    pairs = [(old, new) for old, new in functions() if old is not new]
    modules = [m for n, m in sys.modules.items() if n.split(".")[0] == "optax"]
    for module in modules:
        for name, value in list(vars(module).items()):
            for old, new in pairs:
                if value is old:
                    setattr(module, name, new)


def without_sklearn():
    """Let the tests be imported without scikit-learn, which only L-BFGS's need."""
    if importlib.util.find_spec("sklearn") is None:
        empty = types.ModuleType("sklearn")
        empty.datasets = empty.linear_model = None
        sys.modules["sklearn"] = empty


def expected(name):
    """The reason why a test fails; none if it must pass."""
    ends = (why for end, why in DEPARTURES.items() if name.endswith(end))
    return next(ends, None)


class Plugin:
    """Mark the tests that must fail."""

    def pytest_collection_modifyitems(self, items):
        for item in items:
            why = expected(item.nodeid)
            if why:
                item.add_marker(pytest.mark.xfail(reason=why, strict=True))


def main(arguments):
    """Run the suite; returns pytest's exit code."""
    if optax.__version__ != VERSION:
        print(f"optax_suite: it is for Optax {VERSION}, got {optax.__version__}.")
        return 0
    whole = "--whole" in arguments
    rest = [a for a in arguments if a != "--whole"]
    without_sklearn()
    swap()
    slow = " or ".join(SLOW)
    choice = [] if whole or "-k" in rest else ["-k", f"not ({slow})"]
    top = pathlib.Path(optax.__file__).parents[1]
    paths = [str(top / f"{test.replace('.', '/')}.py") for test in TESTS]
    options = ["-c", "/dev/null", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
    return pytest.main([*options, *choice, *paths, *rest], plugins=[Plugin()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
