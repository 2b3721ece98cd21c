"""Asks another process with lines of JSON, and answers them: both ends.

The child may lack JAX, so this knows nothing of it.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


class Process:
    """The parent's end of `python -m MODULE ARGUMENTS`, called `name` in errors."""

    def __init__(
        self, name: str, module: str, *arguments: str, env: Mapping[str, str]
    ) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
            env={**os.environ, **env},
        )

    def answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(
                f"The process of {self.name} ended with {self.process.wait()}."
            )
        return json.loads(line)

    def ask(self, *question: Any) -> dict[str, Any]:
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return self.answer()

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def asked() -> Iterator[tuple[Callable[[], Any], Callable[[Any], None]]]:
    """The child's end: `ask()`, the next question or None at the end, and `say(it)`."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a library prints is no answer

        def say(answer: Any) -> None:
            print(json.dumps(answer), file=answers, flush=True)

        def ask() -> Any:
            line = sys.stdin.readline()
            return json.loads(line) if line else None

        yield ask, say
