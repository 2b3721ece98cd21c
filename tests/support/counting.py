"""Counts what JAX traces and compiles, through its public monitoring events."""

import contextlib
import dataclasses

import jax

TRACE = "/jax/core/compile/jaxpr_trace_duration"
COMPILE = "/jax/core/compile/backend_compile_duration"


@dataclasses.dataclass
class Count:
    traces: int = 0
    compilations: int = 0


@contextlib.contextmanager
def counted():
    """Yields a `Count` that holds what was traced and compiled inside the block."""
    count = Count()

    def listen(event, duration, **_):
        count.traces += event == TRACE
        count.compilations += event == COMPILE

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield count
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
