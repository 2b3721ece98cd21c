"""Data for the benchmarks: real sets from package registries, and small ones here."""

from benchmarks.training.data.fetching import SHA256, NoData, archive
from benchmarks.training.data.pictures import (
    Labelled,
    cifar10,
    fashion_mnist,
    mnist,
    whitened,
)
from benchmarks.training.data.texts import NO_WORD, WORDS, imdb, indexed, shakespeare

__all__ = [
    "NO_WORD",
    "SHA256",
    "WORDS",
    "Labelled",
    "NoData",
    "archive",
    "cifar10",
    "fashion_mnist",
    "imdb",
    "indexed",
    "mnist",
    "shakespeare",
    "whitened",
]
