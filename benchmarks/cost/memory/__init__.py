"""`python -m benchmarks memory`: bytes and speed of each storage, slots of each codec.

Parts: `sizes` (bytes per parameter on GPT-2 small's tree), `combine` (optimizers ×
codecs), `speed` (step time and temporary bytes beside Optax). Each is written into the
JSON as soon as it is there. What training shows of the storages has commands of its
own, `storage_staleness` and `storage_training`, which write into the same JSON.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cost.harness import options

PARTS = ("sizes", "combine", "speed")
RESULTS = options.RESULTS / "memory.json"


def part(name: str, given: argparse.Namespace) -> Any:
    """The figures of one part; only what it needs is imported."""
    if name == "sizes":
        from benchmarks.cost.memory import sizes

        return sizes.run()
    if name == "combine":
        from benchmarks.cost.memory import combine

        return combine.table()
    from benchmarks.cost.memory import speed

    found = speed.run(given.quick, given.repeats, options.progress)
    return {"settings": found, "bars": speed.bars(found)}


def keep(name: str, found: Any, path: Path | None) -> None:
    """Prints one part, and writes it into the JSON beside the others."""
    from benchmarks.cost.memory import report

    print(report.of(name, found), flush=True)
    if path:
        kept = json.loads(path.read_text()) if path.exists() else {}
        kept[name] = found
        path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def parser(name: str, what: str) -> argparse.ArgumentParser:
    """The options that all commands about storage have."""
    made = argparse.ArgumentParser(f"python -m benchmarks {name}", description=what)
    made.add_argument(
        "--quick",
        action="store_true",
        help="small and short: shows that it runs; writes nothing unless asked",
    )
    made.add_argument(
        "--json",
        type=Path,
        metavar="PATH",
        help="where the results go (default: benchmarks/results/memory.json)",
    )
    return made


def destination(given: argparse.Namespace) -> Path | None:
    """The JSON to write into, if any."""
    return RESULTS if given.json is None and not given.quick else given.json


def main(argv: Sequence[str]) -> int:
    made = parser("memory", __doc__.splitlines()[0])
    made.add_argument(
        "--parts",
        type=options.some_of({name: name for name in PARTS}),
        default=list(PARTS),
        help=f"which, separated by commas: {', '.join(PARTS)} (default: all)",
    )
    made.add_argument("--repeats", type=options.positive, default=15, help="of speed")
    given = made.parse_args(argv)
    path = destination(given)
    for name in given.parts:
        keep(name, part(name, given), path)
    if path:
        print(f"Written to {path}.")
    return 0
