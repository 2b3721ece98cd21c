"""Machine code from LLVM's language, by the compiler that llvmlite ships."""

import contextlib
import functools
import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from .kernel import Kernel

LOCK = threading.RLock()


_left_out: ContextVar[bool] = ContextVar("left_out", default=False)


@contextlib.contextmanager
def left_out() -> Iterator[None]:
    """Compile steps inside as on a machine without native loops, to measure them."""
    token = _left_out.set(True)
    try:
        yield
    finally:
        _left_out.reset(token)


def why_not() -> str:
    """Return why nothing can be compiled here, or ""."""
    if _left_out.get():
        return "native loops are left out"
    if sys.platform == "win32":
        return "native loops are for Linux and macOS"
    return "" if is_installed() else "llvmlite is not installed: adamx[fused]"


@functools.cache
def is_installed() -> bool:
    return importlib.util.find_spec("llvmlite") is not None


@functools.cache
def _llvm() -> Any:
    binding = importlib.import_module("llvmlite.binding")
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


@functools.cache
def _machine() -> Any:
    llvm = _llvm()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic",
        codemodel="small",  # constants beside the code, read without their address
    )


# the code lives as long as the process: a program of XLA may call it at any time
_engines: list[Any] = []


def compiled(code: str, name: str) -> int:
    """Compile a module; return the address of one of its functions."""
    with LOCK:
        llvm, machine = _llvm(), _machine()
        module = llvm.parse_assembly(code)
        module.triple, module.data_layout = machine.triple, str(machine.target_data)
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization = options.slp_vectorization = True
        options.loop_unrolling = options.loop_interleaving = True
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        _engines.append(engine)
        return engine.get_function_address(name)


_addresses: dict[str, int] = {}


def address_of(kernel: Kernel) -> int:
    """Return the address of a native loop, compiled once."""
    with LOCK:
        if kernel.name not in _addresses:
            _addresses[kernel.name] = compiled(kernel.code, kernel.name)
        return _addresses[kernel.name]
