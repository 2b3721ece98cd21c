"""`python -m benchmarks matrix_training`: matrix optimizers on a language model.

A causal transformer on the characters of Shakespeare's plays. Every optimizer has the
same search: ten points of rate and decay (rate alone where it has no decay), one seed;
the point of the lowest training loss over the last fifth of the steps then runs with
fresh seeds, which are the same for all. Where the best rate was the last of a first
grid, the grid was moved, not enlarged (KL-SOAP, Shampoo, Lion). The rate rises linearly
over a twentieth of the steps and falls linearly to 0; for schedule-free it stays, as
its paper says.

Reported: the validation loss after all steps (mean, 95 % interval over seeds, Student's
t); the step at which it first reaches AdamW's; the loss when AdamW's whole run would be
over, by the time of one step; and pairwise tests (paired by seed, Holm's correction).
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import adamx
from adamx.parts import Ema, EpsBeforeCorrection, LearningRate, WeightDecay
from benchmarks.cost.harness import options, report
from benchmarks.training import transformer
from benchmarks.training.paper import characters
from benchmarks.training.paper.claim import paired
from benchmarks.training.paper.contest import number, numbers, score
from benchmarks.training.paper.problem import Problem
from benchmarks.training.paper.training import train
from benchmarks.training.step_share import command as share

SEARCH_SEED = 101
CURVE = 40  # validations of a run
SHRINK = (1e-4, 1e-3)
"""The decays: the share of a weight that a step at the usual rate takes off."""


class Scale(NamedTuple):
    """The model, its batch, the steps, the seeds that count, the programs at once."""

    size: transformer.Size
    batch: int
    steps: int
    seeds: int
    jobs: int


SCALES = {
    "quick": Scale(transformer.Size(1, 16, 2, 16), 4, 40, 2, 3),
    "small": Scale(transformer.Size(2, 64, 4, 64), 8, 300, 5, 1),
    "large": Scale(transformer.Size(4, 256, 4, 128), 16, 600, 10, 8),
}


class Entrant(NamedTuple):
    """`make(rate, decay)`; `usual` is the middle of its rates; whether it decays.

    Runs are side by side under `vmap`, but for those of an optimizer that factorizes
    at every tenth step: under `vmap` it would do so at every step.
    """

    name: str
    make: Callable[[Any, Any], Any]
    usual: float
    decays: bool = True
    together: bool = True

    def points(self) -> list[dict[str, float]]:
        """Ten points around the usual rate: five rates × two decays, or ten rates."""
        if not self.decays:
            rates = self.usual * 10 ** (np.arange(-5, 5) / 4)
            return [{"rate": float(f"{r:.3g}"), "decay": 0.0} for r in rates]
        return [
            {"rate": float(f"{self.usual * 10**e:.3g}"), "decay": s / self.usual}
            for e in (-1, -0.5, 0, 0.5, 1)
            for s in SHRINK
        ]


def tenth(rate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Adam's rate for the leaves that are no hidden matrices, beside Muon's."""
    return lambda count: rate(count) / 10


def shampoo(rate: Any, decay: Any) -> Any:
    """The average of Shampoo's direction at Adam's length, and decoupled decay."""
    direction = adamx.chain(
        adamx.scale_by_shampoo(
            1e-8, b2=0.95, bias_correction=True, precondition_frequency=10
        ),
        Ema(0.9),
    )
    grafted = adamx.graft(magnitude=adamx.scale_by_adam(), direction=direction)
    return adamx.chain(grafted, WeightDecay(decay), LearningRate(rate))


def with_adam(make: Callable[..., Any], decays: bool = True) -> Callable[..., Any]:
    """An optimizer of hidden matrices, Adam at a tenth of its rate for the rest."""

    def made(rate: Any, decay: Any) -> Any:
        more = {"weight_decay": decay} if decays else {}
        return make(rate, adam_learning_rate=tenth(rate), **more)

    return made


def plain(make: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    return lambda rate, decay: make(rate, weight_decay=decay)


def soap(rate: Any, decay: Any) -> Any:
    eps = EpsBeforeCorrection(1e-8)
    return adamx.soap(rate, eps=eps, weight_decay=decay)


def kl_soap(rate: Any, decay: Any) -> Any:
    return adamx.kl_soap(rate, weight_decay=decay)


ENTRANTS = {
    entrant.name: entrant
    for entrant in (
        Entrant("AdamW", plain(adamx.adamw), 1e-3),
        Entrant("AdamH", with_adam(adamx.adamh, decays=False), 0.01, decays=False),
        Entrant("NAdamW", plain(adamx.nadamw), 1e-3),
        Entrant("Muon", with_adam(adamx.muon), 0.02),
        Entrant("NorMuon", with_adam(adamx.normuon), 0.02),
        Entrant("MuonH", with_adam(adamx.muonh, decays=False), 0.02, decays=False),
        Entrant("Scion", plain(adamx.scion), 5e-4),
        Entrant("Lion", plain(adamx.lion), 1e-3),
        Entrant("schedule-free AdamW", plain(adamx.schedule_free_adamw), 3e-3),
        Entrant("PSGD Kron", plain(adamx.psgd_kron), 1e-3),
        Entrant("SOAP", soap, 3e-3, together=False),
        Entrant("KL-SOAP", kl_soap, 0.01, together=False),
        Entrant("Shampoo", shampoo, 0.01, together=False),
    )
}


def scheduled(entrant: Entrant, steps: int) -> Callable[..., Any]:
    """`make(rate, decay)` with the rate over `steps`: up, then down to 0."""
    warm = max(1, steps // 20)

    def make(rate: Any, decay: Any) -> Any:
        def at(count: Any) -> Any:
            up = (count + 1) / warm
            if entrant.name.startswith("schedule-free"):
                return rate * jnp.minimum(1.0, up)
            return rate * jnp.clip(jnp.minimum(up, (steps - count) / (steps - warm)), 0)

        return entrant.make(at, decay)

    return make


# ---- the runs ------------------------------------------------------------------------


def compete(entrant: Entrant, problem: Problem, scale: Scale) -> dict[str, Any]:
    """The search, and the runs of the best point: validation losses by step."""
    began = time.perf_counter()
    problem = dataclasses.replace(problem, together=entrant.together)
    make, steps = scheduled(entrant, scale.steps), scale.steps
    every = max(1, steps // CURVE)
    points = entrant.points()
    searched = score(train(problem, make, points, [SEARCH_SEED], steps, every))[:, 0]
    if not np.isfinite(searched).any():
        raise FloatingPointError(f"{entrant.name} diverged at every point: {points}.")
    best = points[int(np.argmin(searched))]
    rates = sorted({p["rate"] for p in points})
    marks = range(every, steps, every)
    seeds = range(scale.seeds)
    measured = train(problem, make, [best], seeds, steps, every, marks).measured
    return {
        "optimizer": entrant.name,
        **best,
        "searched": [
            p | {"loss": number(s)} for p, s in zip(points, searched, strict=True)
        ],
        "at the end of the grid": best["rate"] in (rates[0], rates[-1]),
        "validation": {
            str(-(-mark // every) * every): numbers(of["loss"][0], 5)
            for mark, of in measured.items()
        },
        "seconds of all runs": time.perf_counter() - began,
    }


def timed(problem: Problem, names: Sequence[str], scale: Scale) -> dict[str, Any]:
    """Seconds of a whole step of each optimizer, in turn: quartiles."""
    made = {}
    for name in names:
        entrant = ENTRANTS[name]
        point = entrant.points()[5]
        made[name] = scheduled(entrant, scale.steps)(point["rate"], point["decay"])
    found = share.seconds(problem, made, 4, 10, jobs=scale.jobs)  # SOAP's interval: 10
    return {name: share.quartiles(wall) for name, wall in found.items()}


# ---- what they show ------------------------------------------------------------------


def curve(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and validation losses (steps, seeds)."""
    steps = sorted(row["validation"], key=int)
    losses = [[np.inf if x is None else x for x in row["validation"][s]] for s in steps]
    return np.array(steps, int), np.array(losses)


def reached(row: dict[str, Any], target: float) -> list[float]:
    """By seed, the step at which the loss first is `target`; NaN if never."""
    steps, losses = curve(row)
    found = []
    for of in losses.T:
        under = np.flatnonzero(of <= target)
        if not len(under):
            found.append(np.nan)
        elif under[0] == 0:
            found.append(float(steps[0]))
        else:
            i = under[0]
            part = (of[i - 1] - target) / (of[i - 1] - of[i])
            found.append(float(steps[i - 1] + part * (steps[i] - steps[i - 1])))
    return found


def pairwise(last: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Every pair: mean difference, and p of a paired t-test after Holm's correction."""
    names = list(last)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    raw = np.array([stats.ttest_rel(last[a], last[b]).pvalue for a, b in pairs])
    order = np.argsort(raw)
    adjusted = np.empty_like(raw)
    adjusted[order] = np.maximum.accumulate(
        raw[order] * (len(raw) - np.arange(len(raw)))
    )
    return [
        {
            "pair": [a, b],
            "difference": number(np.mean(last[a] - last[b]), 3),
            "p": number(min(p, 1.0), 3),
        }
        for (a, b), p in zip(pairs, adjusted, strict=True)
    ]


def summary(rows: Sequence[dict[str, Any]], seconds: dict[str, Any]) -> dict[str, Any]:
    """The table, best first, and the pairs."""
    by_name = {row["optimizer"]: row for row in rows}
    last = {name: curve(row)[1][-1] for name, row in by_name.items()}
    table = []
    target = np.mean(last["AdamW"]) if "AdamW" in last else np.nan
    for name, row in by_name.items():
        mean, half = paired(last[name])
        step = reached(row, target)
        line: dict[str, Any] = {
            "optimizer": name,
            "rate": row["rate"],
            "decay": row["decay"],
            "at the end of the grid": row["at the end of the grid"],
            "loss": number(mean, 5),
            "half": number(half, 2),
            "steps": number(np.mean(step), 4),
            "seeds that reach it": int(np.isfinite(step).sum()),
        }
        if name in seconds and "AdamW" in seconds:
            steps, losses = curve(row)
            ratio = seconds[name][1] / seconds["AdamW"][1]
            at = [float(np.interp(steps[-1] / ratio, steps, of)) for of in losses.T]
            line |= {
                "step time": number(ratio, 3),
                "at equal time": number(np.mean(at), 5),
            }
        table.append(line)
    table.sort(key=lambda line: np.inf if line["loss"] is None else line["loss"])
    return {"target": number(target, 5), "table": table, "pairs": pairwise(last)}


def cells(found: dict[str, Any]) -> list[list[str]]:
    head = ["optimizer", "rate", "decay", "loss", f"steps to {found['target']}"]
    head += ["step / AdamW's", "at equal time"]
    return [head, *map(_cells, found["table"])]


def _cells(line: dict[str, Any]) -> list[str]:
    never = f"by {line['seeds that reach it']} of the seeds"
    return [
        line["optimizer"],
        f"{line['rate']:g}" + (" (end)" if line["at the end of the grid"] else ""),
        f"{line['decay']:.2g}",
        f"{line['loss']} ± {line['half']}",
        f"{line['steps']:.0f}" if line["steps"] else never,
        str(line.get("step time", "–")),
        str(line.get("at equal time", "–")),
    ]


def markdown(scale: str = "small") -> str:
    """The recorded table, and which pairs are told apart."""
    path = options.RESULTS / f"matrix_training_{scale}.json"
    kept = json.loads(path.read_text())
    head, *lines = cells(kept)
    table = report.markdown([head, *lines])
    same = [" and ".join(p["pair"]) for p in kept["pairs"] if p["p"] > 0.05]
    told = len(kept["pairs"]) - len(same)
    return (
        f"{table}\n\n{told} of {len(kept['pairs'])} pairs are told apart (p ≤ 0.05 "
        f"after Holm's correction). Not: {', '.join(same) or 'none'}."
    )


def shown(found: dict[str, Any]) -> str:
    return report.aligned(cells(found))


# ---- the command ---------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks matrix_training", description=__doc__
    )
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--optimizers", type=options.some_of(ENTRANTS))
    parser.add_argument(
        "--minutes", type=float, help="start no optimizer later than this"
    )
    parser.add_argument("--resume", action="store_true", help="keep rows that stand")
    parser.add_argument("--untimed", action="store_true", help="no time of a step")
    parser.add_argument("--json", type=Path, help="where the results go")
    given = parser.parse_args(argv)
    scale = SCALES[given.scale]
    default = options.RESULTS / f"matrix_training_{given.scale}.json"
    path = given.json or (None if given.scale == "quick" else default)
    quick = given.scale == "quick"
    problem = characters.small() if quick else characters.plays(scale.size, scale.batch)
    entrants = given.optimizers or list(ENTRANTS.values())
    kept: dict[str, Any] = {"rows": [], "seconds of a step": {}}
    if given.resume and path and path.exists():
        kept = json.loads(path.read_text())
    if not (given.untimed and "environment" in kept):  # it is that of the timing
        kept["environment"] = report.environment(jax.devices()[0])
    kept |= {
        "problem": problem.name,
        "scale": {**scale._asdict(), "size": scale.size._asdict()},
    }
    deadline = time.monotonic() + 60 * (given.minutes or 1e6)
    known = {row["optimizer"] for row in kept["rows"]}
    failed: list[str] = []

    def write() -> None:
        if path:
            path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")

    def one(entrant: Entrant) -> None:
        if time.monotonic() > deadline:
            options.progress(f"{entrant.name}: not run, the time was over")
            return
        try:
            row = compete(entrant, problem, scale)
        except Exception as error:  # the others go on; the command fails at the end
            failed.append(f"{entrant.name}: {type(error).__name__}: {error}")
            options.progress(failed[-1])
            return
        kept["rows"].append(row)
        last = curve(row)[1][-1]
        options.progress(
            f"{entrant.name}: rate {row['rate']:g}, decay {row['decay']:.2g}, loss "
            f"{last.mean():.4f}, {row['seconds of all runs']:.0f} s"
        )
        write()

    with ThreadPoolExecutor(scale.jobs) as pool:
        list(pool.map(one, [e for e in entrants if e.name not in known]))
    names = [
        e.name for e in entrants if e.name in {r["optimizer"] for r in kept["rows"]}
    ]
    if not given.untimed and time.monotonic() < deadline:
        kept["seconds of a step"] = timed(problem, names, scale)
    kept |= summary(kept["rows"], kept["seconds of a step"])
    write()
    print(shown(kept), *failed, sep="\n")
    return 1 if failed else 0
