"""Small data sets that ship with the repository, for runs that take seconds.

shipped/ holds 1,000 + 300 pictures of Fashion-MNIST and the first 100,000 characters
of two plays; `make_shipped.py beside it` makes both anew. The digits are the race's.
"""

from pathlib import Path

import numpy as np

from adamx.race.data import load
from benchmarks.training.data.pictures import Labelled
from benchmarks.training.data.texts import bags_of_words

FOLDER = Path(__file__).parent / "shipped"


def digits() -> Labelled:
    """1,438 and 359 hand-written digits of 8 × 8 in [0, 1]."""
    data = load("digits")
    low, high = data.x_train.min(), data.x_train.max()
    x, x_test = ((a - low) / (high - low) for a in (data.x_train, data.x_test))
    return x, data.y_train, x_test, data.y_test


def fashion() -> Labelled:
    """1,000 and 300 pictures of Fashion-MNIST, 28 × 28 in [0, 1]."""
    with np.load(FOLDER / "fashion.npz") as kept:
        x, x_test = (kept[n] / np.float32(255) for n in ("x", "x_test"))
        return x, kept["y"].astype(np.int32), x_test, kept["y_test"].astype(np.int32)


def plays() -> tuple[str, str]:
    """The beginnings of Hamlet and of A Midsummer Night's Dream."""
    return tuple((FOLDER / f"{name}.txt").read_text() for name in ("hamlet", "dream"))


def passages(words: int = 2000, length: int = 40) -> Labelled:
    """Passages of 40 words as sets of words; 1 is Hamlet. Every fifth is to test."""
    texts, labels = [], []
    for label, play in enumerate(reversed(plays())):
        split = play.split()
        cut = [split[i : i + length] for i in range(0, len(split), length)]
        texts += [" ".join(part) for part in cut]
        labels += [label] * len(cut)
    training = np.arange(len(texts)) % 5 != 0
    bags, y = bags_of_words(texts, training, words), np.array(labels, np.int32)
    return bags[training], y[training], bags[~training], y[~training]
