"""AdamW in each storage, and Muon, on an accelerator, beside Optax and torch."""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    from benchmarks.cost.accelerator import command

    return command.main(argv)
