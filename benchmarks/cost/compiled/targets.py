"""The machines that programs are compiled for: this CPU, an H100 and a TPU v5e.

The last two need no such machine: XLA compiles for a description of it. They need the
packages of the dependency group `compiled`; `missing` says which are not there.
"""

import importlib.util
import os
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

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
    """Its name, the bytes a second of its memory, and the packages it needs."""

    name: str
    bandwidth: float
    packages: tuple[str, ...] = ()


TARGETS = {
    target.name: target
    for target in (
        Target("cpu", 20e9),
        Target("h100", 3.352e12, ("jax_cuda12_plugin", "nvidia.cuda_nvcc")),
        Target("tpu-v5e", 8.19e11, ("libtpu",)),
    )
}


def prepare() -> None:
    """Look for no accelerator, and let XLA find its tools. Call it before any array."""
    jax.config.update("jax_platforms", "cpu")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"
    nvcc = Path(sysconfig.get_paths()["purelib"]) / "nvidia" / "cuda_nvcc"
    if nvcc.exists():
        os.environ["PATH"] = f"{nvcc / 'bin'}:{os.environ['PATH']}"
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_cuda_data_dir={nvcc}"


def missing(target: Target) -> str:
    """Why programs cannot be compiled for it here; nothing if they can."""
    for package in target.packages:
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return (
                f"{target.name}: {package} is not installed; `pip install --group "
                "compiled` brings it."
            )
    return ""


def placed(target: Target, tree: Any) -> Any:
    """The shapes of a tree, on the first device of the target."""
    if target.name == "cpu":
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)
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
