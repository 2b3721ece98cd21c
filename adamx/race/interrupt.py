"""Handling Ctrl-C: the race stops between two chunks, not inside a JAX call.

A `KeyboardInterrupt` raised inside a trace or a compilation can end the process with a
segmentation fault when it leaves (seen with jax 0.10.2). So the first Ctrl-C is noted,
and raised where the race asks for it; a second one is not held back.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def held_back(on_first: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Gives the function that raises `KeyboardInterrupt` if Ctrl-C was pressed."""
    pressed = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            signal.default_int_handler(number, frame)
        pressed.set()
        on_first()

    def check() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check  # Only the main thread may listen to signals.
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
