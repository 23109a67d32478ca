"""This machine: its cores, threads and devices, and what `auto` stands for on it. Imports no torch by itself."""

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

FLOAT32 = "32-true"
BF16_PAYS_FROM = 1_000_000
"""Parameters of a model from which bf16 is faster on a CPU with AMX.

A step of a UNet took 1.25 to 1.31 of its time in float32 at 177 thousand parameters, 0.88 at a million and 0.48 at 35.7
million: smaller ones spend more on casts than their products save.
"""


def device_of(name: str) -> "torch.device":
    """The device that `auto`, `cpu` or `cuda` stands for."""
    import torch

    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def sent(tensor: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """A tensor on a device; from the host to a CUDA card without waiting for what the card still does.

    That takes memory that is not paged out: from other memory a copy waits.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def look_for_no_gpus() -> None:
    """Where there is no GPU, let PyTorch ask CUDA's runtime for one, as it does by itself.

    Lightning has it ask NVML instead, whose library is then looked for, and not found, at every step of an optimiser:
    0.1 to 0.3 ms each.
    """
    import torch

    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def keep_freed_memory() -> None:
    """Have GNU's C library keep up to 1 GiB of freed memory for what asks next; no other library is touched.

    By itself it hands most of what a training step frees back to the system, and the next step gets it again page by
    page, each emptied first: thousands of page faults a step. What the environment says of it (MALLOC_...,
    GLIBC_TUNABLES) stands.
    """
    told = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if told or platform.libc_ver()[0] != "glibc":
        return
    import ctypes

    library, mmap_threshold, trim_threshold = ctypes.CDLL(None), -3, -1
    library.mallopt(mmap_threshold, 2**25)  # the largest that it takes: what is larger has a place of its own
    library.mallopt(trim_threshold, 2**30)


def precision_of(gpu: bool) -> str:
    """The precision that `auto` stands for on a GPU, or on this processor with a model of a million parameters.

    It is bf16-mixed on GPUs that have bf16 and on CPUs with AMX, where it is faster and safe (float32 weights, and
    losses outside autocast); elsewhere it is 32-true. On a CPU it pays from `BF16_PAYS_FROM` parameters on.

    Args:
        gpu: Whether training takes place on a GPU.
    """
    import torch

    fast = torch.cuda.is_bf16_supported() if gpu else cpu_features()["amx_bf16"]
    return "bf16-mixed" if fast else FLOAT32


def cpu_features() -> dict[str, Any]:
    """The processor's name, cores usable here, and the bf16 units that PyTorch can use."""
    flags, name = _cpuinfo()
    return {
        "name": name,
        "cores": usable_cores(),
        "amx_bf16": "amx_bf16" in flags,
        "avx512_bf16": "avx512_bf16" in flags,
        "avx512": "avx512f" in flags,
    }


def chosen_threads(wanted: int | str) -> int:
    """CPU threads for PyTorch: the number given, or for `auto` OMP_NUM_THREADS or the cores that are idle now.

    Threads that share a core with another process cost far more than they bring: on a busy two-core machine the step of
    a small UNet took five times as long with two threads as with one.
    """
    return int(wanted) if wanted != "auto" else threads_of_environment() or idle_cores()


def threads_of_environment() -> int:
    """The number of threads in OMP_NUM_THREADS, or 0."""
    return int(os.environ.get("OMP_NUM_THREADS", 0))


def idle_cores() -> int:
    """CPU cores usable here that nothing kept busy in the last minute, at least one."""
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, usable_cores() - round(busy))


def usable_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo() -> tuple[set[str], str]:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return set(), platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in path.read_text().split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    return set(fields.get("flags", "").split()), fields.get("model name", platform.machine())


def devices() -> list[dict[str, Any]]:
    """The GPUs that PyTorch sees."""
    import torch

    if torch.cuda.is_available():
        found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return [{"name": each.name, "memory_gib": round(each.total_memory / 2**30, 1)} for each in found]
    if torch.backends.mps.is_available():
        return [{"name": "Apple GPU (mps)"}]
    return []
