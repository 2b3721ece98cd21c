"""Loads the authors' code for the recorders: in float64, on one process, on a CPU."""

import contextlib
import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

ROUNDED = {name: torch.float64 for name in ("bfloat16", "float32", "float")}


class InFloat64:
    """The module torch, whose narrow dtypes are float64 and whose GPU is the CPU."""

    cuda = SimpleNamespace(current_device=lambda: "cpu", is_available=lambda: False)

    def __getattr__(self, name):
        return ROUNDED[name] if name in ROUNDED else getattr(torch, name)


class OneProcess:
    """What `torch.distributed` does with a single process."""

    @staticmethod
    def get_world_size(group=None):
        return 1

    @staticmethod
    def get_rank(group=None):
        return 0

    @staticmethod
    def all_gather(gathered, own):
        pass

    @staticmethod
    def all_gather_into_tensor(gathered, own, group):
        gathered.copy_(own)


@contextlib.contextmanager
def uncompiled():
    """While it lasts, `torch.compile` returns the function."""
    kept = torch.compile
    torch.compile = lambda function=None, **_: function or (lambda inner: inner)
    try:
        yield
    finally:
        torch.compile = kept


def module(folder: Path, name: str):
    """A module from a folder that is not installed, in float64, on one process."""
    sys.path.insert(0, str(folder))
    try:
        with uncompiled():
            code = importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
    code.torch, code.dist = InFloat64(), OneProcess
    return code
