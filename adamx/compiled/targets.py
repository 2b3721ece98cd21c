"""The machines that programs are compiled for: this CPU, an H100 and a TPU v5e.

The last two need no such machine: XLA compiles for a description of it. They need the
packages of the extra `compiled`; `missing` says which are not there.
"""

import importlib.util
import os
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from .. import errors

_H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84929347584
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 12 minor: 8 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


class Target(NamedTuple):
    """A machine: JAX's name of its platform, the bytes a second that its memory moves.

    `packages` are those needed to compile for it.
    """

    name: str
    platform: str
    bandwidth: float
    packages: tuple[str, ...] = ()


TARGETS = {
    target.name: target
    for target in (
        Target("cpu", "cpu", 20e9),
        Target(
            "h100",
            "cuda",
            3.352e12,
            ("jax_cuda12_plugin", "nvidia.cuda_nvcc", "flatbuffers"),
        ),
        Target("tpu-v5e", "tpu", 8.19e11, ("libtpu", "flatbuffers")),
    )
}


def find_tools() -> None:
    """Let XLA find what it compiles with, and let several processes compile."""
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"
    nvcc = Path(sysconfig.get_paths()["purelib"]) / "nvidia" / "cuda_nvcc"
    flag = f"--xla_gpu_cuda_data_dir={nvcc}"
    if nvcc.exists() and flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["PATH"] = f"{nvcc / 'bin'}:{os.environ['PATH']}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"


def missing(target: Target) -> str:
    """Return why programs cannot be compiled for it here; nothing if they can."""
    for package in target.packages:
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"{target.name}: {package} is not installed."
    return ""


def target_of(where: str, name: Any) -> Target:
    """Return the target of this name, if programs can be compiled for it here."""
    if name not in TARGETS:
        raise errors.AdamxError(
            f"{where}: `target` must be one of {', '.join(map(repr, TARGETS))}, got "
            f"{name!r}. {errors.suggest(str(name), TARGETS)}"
        )
    why = missing(TARGETS[name])
    if why:
        raise errors.AdamxError(
            f"{where}: target={name!r} needs XLA's compiler for it, got none. {why} "
            f"Call pip install 'adamx[compiled]' jax-cuda12-plugin=={jax.__version__} "
            f"jax-cuda12-pjrt=={jax.__version__}."
        )
    return TARGETS[name]


def placed(target: Target, tree: Any) -> Any:
    """Return the shapes of a tree, on the first device of the target."""
    if target.name == "cpu":
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)
    find_tools()
    if target.name == "h100":
        described = topologies.get_topology_desc(
            platform="cuda", target_config=_H100, topology="1x1x1"
        )
    else:
        described = topologies.get_topology_desc("v5e:2x2", "tpu")
    sharding = jax.sharding.SingleDeviceSharding(described.devices[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )
