"""What `counted` counts, with the programs of a run kept on disk."""

import contextlib

import jax
import jax.numpy as jnp

from tests.support.counting import counted

READ = "/jax/compilation_cache/cache_hits"


@contextlib.contextmanager
def read_from_disk():
    """Yields a list with one entry for each program that is read, not compiled."""
    read = []

    def listen(event, **_):
        if event == READ:
            read.append(event)

    jax.monitoring.register_event_listener(listen)
    try:
        yield read
    finally:
        jax.monitoring.unregister_event_listener(listen)


def fresh():
    """The same program each time, in a function that JAX has not met."""
    return jax.jit(lambda x: 3.25 * jnp.sin(x) + jnp.cos(x) ** 2)


def test_a_program_that_is_read_from_disk_counts_as_compiled():
    x = jnp.ones((3,))
    fresh()(x)
    with read_from_disk() as read, counted() as count:
        fresh()(x)
    assert len(read) == 1, "the programs of this run are not kept"
    assert (count.traces > 0, count.compilations) == (True, 1)


def test_a_function_that_runs_again_counts_nothing():
    function, x = fresh(), jnp.ones((3,))
    function(x)
    with read_from_disk() as read, counted() as count:
        function(x)
    assert (count.traces, count.compilations, len(read)) == (0, 0, 0)
