"""Figure 1: convex. Softmax regression on MNIST, and a sparse bag of words on IMDB.

Section 6.1: batches of 128, the rate over √t. AdaGrad's denominator grows so by itself,
and the paper does not say whether its rate was divided, too: both forms run. MNIST: L2
of 1e-4 (the paper gives no weight), which is part of the losses. IMDB: logistic
regression on the set of a review's words among the 10,000 most frequent, half of them
dropped at random; no L2, so that the gradients stay sparse.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

from benchmarks.training import data
from benchmarks.training.data import shipped
from benchmarks.training.paper import models, pictures
from benchmarks.training.paper.claim import (
    Claim,
    all_lower,
    generalisation,
    last,
    last_losses,
    within,
)
from benchmarks.training.paper.contest import Budget, contest
from benchmarks.training.paper.entries import ENTRIES, Entry, chosen, shaped
from benchmarks.training.paper.problem import Problem

TITLE = "Figure 1: softmax regression on MNIST, bags of words of IMDB"
NAMES = ("Adam", "AdaGrad", "SGD, Nesterov", "RMSProp")
DIVIDED = "AdaGrad over √t"
BATCH = 128
L2 = 1e-4
DROPPED = 0.5
EPOCHS = {"default": (45, 30), "full": (45, 160)}  # MNIST, IMDB
QUICK = Budget(search=30, steps=60, seeds=3, rates=3, search_seeds=1)


def pixels(labelled: data.Labelled, name: str, classes: int = 10) -> Problem:
    """Softmax regression from zero."""
    x, y, x_test, y_test = (jnp.asarray(a) for a in labelled)
    x, x_test = (a.reshape(len(a), -1) for a in (x, x_test))

    def init(key: Any) -> Any:
        return {"kernel": jnp.zeros((x.shape[1], classes)), "bias": jnp.zeros(classes)}

    def loss(params: Any, batch: Any, key: Any) -> Any:
        square = (params["kernel"] ** 2).sum()
        return (
            models.cross_entropy(models.affine(params, batch[0]), batch[1])
            + L2 / 2 * square
        )

    def measure(params: Any, batch: Any) -> Any:
        return models.scores(models.affine(params, batch[0]), batch[1])

    return Problem(name, init, loss, (x, y), len(x), BATCH, (x_test, y_test), measure)


def words(labelled: data.Labelled, name: str, vocabulary: int) -> Problem:
    """Logistic regression on sets of words, given by their places."""
    bags, liked, bags_test, liked_test = (jnp.asarray(a) for a in labelled)

    def init(key: Any) -> Any:
        return {"words": jnp.zeros(vocabulary), "bias": jnp.zeros(())}

    def logits(params: Any, bags: Any, kept: Any) -> Any:
        there = (bags != data.NO_WORD) * kept
        return (params["words"][bags.astype(jnp.int32)] * there).sum(-1) + params[
            "bias"
        ]

    def loss(params: Any, batch: Any, key: Any) -> Any:
        kept = models.dropout(key, jnp.ones(batch[0].shape), DROPPED)
        found = logits(params, batch[0], kept)
        return optax.sigmoid_binary_cross_entropy(found, batch[1]).mean()

    def measure(params: Any, batch: Any) -> Any:
        found = logits(params, batch[0], 1.0)
        wrong = ((found > 0) != (batch[1] > 0)).mean()
        entropy = optax.sigmoid_binary_cross_entropy(found, batch[1]).mean()
        return {"loss": entropy, "error": wrong}

    test = bags_test, liked_test
    return Problem(name, init, loss, (bags, liked), len(bags), BATCH, test, measure)


def over_root(count: Any) -> Any:
    """1 / √t, t from one."""
    return 1 / jnp.sqrt(count + 1.0)


def problems(scale: str) -> tuple[Problem, Problem]:
    if scale == "quick":
        return (
            pixels(
                shipped.fashion(), "1,000 pictures of Fashion-MNIST, softmax regression"
            ),
            words(shipped.passages(), "passages of two plays, bag of words", 2000),
        )
    return (
        pixels(data.mnist(), "MNIST, softmax regression"),
        words(data.imdb(), "IMDB, bag of words, half dropped", data.WORDS),
    )


def entries() -> list[Entry]:
    """All with their rates over √t, and AdaGrad with a constant one as well."""
    found = [
        e if e.name == "AdaGrad" else shaped(e, over_root, 100) for e in chosen(*NAMES)
    ]
    divided = shaped(ENTRIES["AdaGrad"], over_root, 10)
    return [*found, divided._replace(name=DIVIDED)]


def run(scale: str, progress: Callable[[str], None]) -> dict[str, Any]:
    found = []
    for i, problem in enumerate(problems(scale)):
        budget = QUICK
        if scale != "quick":
            epochs = EPOCHS[scale][i]
            budget = Budget(epochs * problem.epoch // 4, epochs * problem.epoch)
        found.append(contest(problem, entries(), budget, progress))
    return {"problems": found}


draw = pictures.contests


def claims(result: dict[str, Any]) -> list[Claim]:
    dense, sparse = result["problems"]
    adam, adagrad, sgd = (last(dense, name) for name in NAMES[:3])
    divided = last(dense, DIVIDED)
    shown = [
        last_losses(problem, of)
        for problem, of in zip(result["problems"], EPOCHS["full"], strict=True)
    ]
    return [
        Claim(
            "Adam and SGD with Nesterov momentum converge alike (within 2 % in loss)",
            "section 6.1, MNIST",
            within(adam, sgd, 0.02),
            shown[0],
        ),
        Claim(
            "both converge faster than AdaGrad of a constant rate",
            "section 6.1, MNIST",
            all_lower([(adam, adagrad), (sgd, adagrad)]),
            shown[0],
        ),
        Claim(
            "both converge faster than AdaGrad whose rate falls as theirs",
            "section 6.1, MNIST",
            all_lower([(adam, divided), (sgd, divided)]),
            shown[0],
        ),
        Claim(
            "on sparse features AdaGrad of a constant rate outperforms SGD with "
            "Nesterov momentum",
            "section 6.1, IMDB",
            all_lower([(last(sparse, "AdaGrad"), last(sparse, "SGD, Nesterov"))]),
            shown[1],
        ),
        Claim(
            "on sparse features AdaGrad whose rate falls outperforms SGD with Nesterov "
            "momentum",
            "section 6.1, IMDB",
            all_lower([(last(sparse, DIVIDED), last(sparse, "SGD, Nesterov"))]),
            shown[1],
        ),
        Claim(
            "on sparse features Adam is as fast as AdaGrad of a constant rate (within "
            "2 % in loss)",
            "section 6.1, IMDB",
            within(last(sparse, "Adam"), last(sparse, "AdaGrad"), 0.02, both=False),
            shown[1],
        ),
        generalisation(dense),
        generalisation(sparse),
    ]
