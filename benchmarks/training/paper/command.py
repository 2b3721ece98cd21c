"""Runs the figures of the paper that are asked for, and writes their results."""

import argparse
import importlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cost.harness import options
from benchmarks.training.data import NoData

FIGURES = {
    "regression": "1: softmax regression on MNIST, bags of words of IMDB",
    "perceptron": "2: a perceptron of 1000-1000 on MNIST, with dropout and without",
    "convnet": "3: c64-c64-c128-1000 on CIFAR-10",
    "bias": "4: an autoencoder with the bias correction and without",
    "robustness": "5: how far rate, b1 and b2 may be off",
    "noise": "6: steps to a target under noise in the gradients",
    "language": "7: a character transformer on Shakespeare, by steps and by time",
    "state": "8: bytes of state for each parameter",
}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    listed = "\n".join(f"  {name:<11} {what}" for name, what in FIGURES.items())
    parser = argparse.ArgumentParser(
        "python -m benchmarks paper",
        description="The experiments of Kingma & Ba 2014, and claims made for Adam.",
        epilog=f"figures (default: all):\n{listed}\n\nAfter each figure, the claims "
        "that it tests are printed with what was measured.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("figures", nargs="*", metavar="figure", help="see below")
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument(
        "--quick",
        action="store_true",
        help="all of it in 3 minutes on data that ships here; fetches nothing, and "
        "writes nothing unless asked",
    )
    scale.add_argument(
        "--full",
        action="store_true",
        help="the paper's numbers of epochs: days on a CPU",
    )
    scale.add_argument(
        "--redraw",
        action="store_true",
        help="trains nothing: pictures and claims of the JSON that is there",
    )
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="where JSON and pictures go (default: benchmarks/results)",
    )
    given = parser.parse_args(argv)
    unknown = [name for name in given.figures if name not in FIGURES]
    if unknown:
        parser.error(
            f"figure must be one of {', '.join(FIGURES)}, got {unknown[0]!r}; give "
            "none for all"
        )
    return given


def figure(name: str) -> Any:
    """The module of a figure."""
    return importlib.import_module(f"benchmarks.training.paper.{name}")


def main(argv: Sequence[str]) -> int:
    given = parse(argv)
    scale = "quick" if given.quick else "full" if given.full else "default"
    folder = given.to or (None if given.quick else options.RESULTS)
    if folder:
        prepare(folder)
    missing = []
    for name in dict.fromkeys(given.figures or FIGURES):
        try:
            result = kept(folder, name) if given.redraw else made(name, scale)
        except NoData as error:
            print(f"{name} is left out. {error}", flush=True)
            missing.append(name)
            continue
        if result is None:
            print(
                f"{name} is left out: there is no {path(folder, name)}; make it with "
                f"`python -m benchmarks paper {name}`.",
                flush=True,
            )
            missing.append(name)
            continue
        if folder:
            write(folder, name, result, drawn_only=given.redraw)
        for claim in figure(name).claims(result):
            print(f"  {claim.verdict}: {claim.sentence} [{claim.source}]")
            print(f"      {claim.measured}", flush=True)
    return 1 if missing else 0


def prepare(folder: Path) -> None:
    """Makes the folder, before hours of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(
            f"paper: --to must be a folder that can be made, got {folder} "
            f"({error.strerror}); give another."
        ) from None


def made(name: str, scale: str) -> dict[str, Any]:
    print(f"{figure(name).TITLE} ({scale})", flush=True)
    start = time.perf_counter()
    result = figure(name).run(scale, options.progress)
    return {"scale": scale, "seconds": round(time.perf_counter() - start), **result}


def path(folder: Path, name: str) -> Path:
    return folder / f"paper_{name}.json"


def kept(folder: Path, name: str) -> dict[str, Any] | None:
    """What was written before, if it was."""
    file = path(folder, name)
    return json.loads(file.read_text()) if file.exists() else None


def write(folder: Path, name: str, result: Any, drawn_only: bool) -> None:
    if not drawn_only:
        path(folder, name).write_text(json.dumps(result, ensure_ascii=False) + "\n")
    picture = figure(name).draw(result)
    if picture is not None:
        picture.savefig(folder / f"paper_{name}.png", dpi=100)
        print(f"Drawn: {folder / f'paper_{name}.png'}")
