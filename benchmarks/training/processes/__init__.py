"""Kills processes of a training run and starts them again: see its module `command`.

The command is imported when it is asked for, since a process imports its module
`worker` alone.
"""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    from benchmarks.training.processes import command

    return command.main(argv)
