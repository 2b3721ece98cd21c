"""What every test runs under: devices, type checks, the grid, and 64-bit arithmetic.

Set before JAX starts:

- 8 virtual CPU devices, so that sharding is tested on any machine;
- jaxtyping + beartype on every function whose arrays have shapes, so that an annotation
  which is wrong fails the test that calls it: once for each form of what it is given
  (support/typechecker.py). They still take their share of every trace, so
  ADAMX_SHAPES=unchecked leaves them out. CI does so in the full grid; it checks them
  in the small one, whose tests call the same functions, on the newest versions.

Many tests compile the same program, and workers do in turn what another has done, so
the programs of one run are kept in a folder of its own, which the run deletes, or in
JAX_COMPILATION_CACHE_DIR if that is set. It hides no compilation from those who count
them (`repository/test_counting.py`), and each test still traces and lowers its own.

`ADAMX_GRID=full` widens the grid of dtypes beyond float32 (`table/cases.py`). CI runs
the full grid on the lowest versions, and the small one, the default, on the newest.

In the full grid CI lets LLVM not optimize the programs, whose compilation would
otherwise take 40 % of the time; XLA's own passes run as ever. What asks for bits then
runs in a stage of its own, on optimized code, as all tests of the small grid do.
"""

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = " ".join(
    [
        "--xla_force_host_platform_device_count=8",
        os.environ.get("XLA_FLAGS", ""),  # The last of two counts.
    ]
).strip()
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # the workers inherit it
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="adamx-programs-")
    atexit.register(
        shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True
    )
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax
import jaxtyping
import pytest

from tests.support.typechecker import check, once_for_each_form

# Where signatures have shapes. The rest of the engine runs its small functions so often
# that with them a trace takes half as long again; pyright checks those.
SHAPED = ("gradients", "numerics", "optimizers", "parts", "storage", "wrappers")
if os.environ.get("ADAMX_SHAPES") != "unchecked":
    jaxtyping.jaxtyped = once_for_each_form  # what the hook decorates with
    jaxtyping.install_import_hook(
        [f"adamx.{name}" for name in SHAPED]
        + ["adamx.engine.chain", "adamx.engine.rule"],
        f"{check.__module__}.{check.__name__}",
    )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out the laws of which an optimizer's row says why it cannot have them."""

    def is_exempt(item: pytest.Item) -> bool:
        call = getattr(item, "callspec", None)
        optimizer = getattr(
            call.params.get("case") if call else None, "optimizer", None
        )
        return item.originalname in getattr(optimizer, "exempt", {})  # pyright: ignore[reportAttributeAccessIssue]

    left_out = [item for item in items if is_exempt(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not is_exempt(item)]


def pytest_collection_finish() -> None:
    """Look for garbage less often, and not among the modules: they stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


@pytest.fixture
def x64() -> Iterator[None]:
    """64-bit arithmetic for the length of one test."""
    with jax.enable_x64(True):
        yield
