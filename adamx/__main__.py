"""The command line, `python -m adamx`: each command is a package of its own."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import __version__
from .errors import AdamxError
from .playground import command as playground
from .race import command as race
from .race.usage_error import UsageError

BAD_INPUT = 2


class _Parser(argparse.ArgumentParser):
    """Report errors in one sentence, without the usage text."""

    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ")
        self.exit(BAD_INPUT, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    parser = _Parser(
        prog="python -m adamx", description="The Adam family of optimizers for JAX."
    )
    version = f"adamx {__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    racing = commands.add_parser("race", help="train with several optimizers, compare")
    race.add_arguments(racing)
    playing = commands.add_parser(
        "playground", help="watch optimizers in two dimensions, in the browser"
    )
    playground.add_arguments(playing)
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help(sys.stderr)
        return BAD_INPUT
    try:
        return {"race": race, "playground": playground}[args.command].run(args)
    except (UsageError, AdamxError) as error:
        print(f"{parser.prog} {args.command}: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return race.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
