"""Figure 2: a perceptron of 784-1000-1000-10 on MNIST, with dropout and without.

Section 6.2: batches of 128; the rates are constant (the paper does not say), half of
the hidden units are dropped (nor this). Without dropout the paper has an L2 of unknown
weight and shows Adam beside SFO alone; here there is none, and the other methods.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.training import data
from benchmarks.training.data import shipped
from benchmarks.training.paper import models, pictures
from benchmarks.training.paper.claim import (
    Claim,
    all_lower,
    generalisation,
    last,
    last_losses,
)
from benchmarks.training.paper.classifier import classify
from benchmarks.training.paper.contest import Budget, contest
from benchmarks.training.paper.entries import chosen
from benchmarks.training.paper.problem import Problem

TITLE = "Figure 2: a perceptron on MNIST, with dropout and without"
NAMES = ("Adam", "AdaGrad", "RMSProp", "SGD, Nesterov", "AdaDelta")
BATCH = 128
EPOCHS = {"default": 3, "full": 200}
SEARCH = {"default": 0.5, "full": 5}  # epochs
QUICK = Budget(search=16, steps=40, seeds=3, rates=3, search_seeds=1)


def problem(
    labelled: data.Labelled,
    name: str,
    hidden: int,
    rate: float,
    batch: int = BATCH,
    **others: Any,
) -> Problem:
    widths = (labelled[0][0].size, hidden, hidden, 10)

    def init(key: Any) -> Any:
        return models.perceptron(key, widths)

    return classify(name, labelled, init, models.perceive, batch, rate, **others)


def run(scale: str, progress: Callable[[str], None]) -> dict[str, Any]:
    quick = scale == "quick"
    labelled = shipped.digits() if quick else data.mnist()
    name = "digits, 64-100-100-10" if quick else "MNIST, 784-1000-1000-10"
    found = []
    for rate, how in ((0.5, "dropout"), (0.0, "no dropout")):
        task = problem(labelled, f"{name}, {how}", 100 if quick else 1000, rate)
        budget = QUICK
        if not quick:
            steps = EPOCHS[scale] * task.epoch
            budget = Budget(int(SEARCH[scale] * task.epoch), steps, search_seeds=1)
        found.append(contest(task, chosen(*NAMES), budget, progress, (task.epoch,)))
    return {"problems": found}


draw = pictures.contests


def claims(result: dict[str, Any]) -> list[Claim]:
    with_dropout, plain = result["problems"]
    of = EPOCHS["full"]

    def ahead(problem: Any) -> str:
        others = [name for name in NAMES if name != "Adam"]
        adam = last(problem, "Adam")
        return all_lower([(adam, last(problem, other)) for other in others])

    return [
        Claim(
            "Adam converges better than every other method, with dropout",
            "section 6.2, Figure 2a",
            ahead(with_dropout),
            last_losses(with_dropout, of),
        ),
        Claim(
            "Adam converges better than every other method, without dropout",
            "section 6.2: “often outperforms other methods”",
            ahead(plain),
            last_losses(plain, of),
        ),
        generalisation(with_dropout),
        generalisation(plain),
    ]
