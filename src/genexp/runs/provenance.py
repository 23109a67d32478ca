"""Where a run comes from: code state, versions, hardware. Nothing here needs the network."""

import os
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("genexp", "torch", "torchvision", "lightning", "hydra-core", "omegaconf", "wandb", "torchmetrics")


def git_state(folder: Path | None = None) -> dict[str, Any] | None:
    """Commit, branch and whether files differ from it, of the checkout that holds the package; None outside one."""
    here = folder or Path(__file__).resolve().parent
    commit = _git(here, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {
        "commit": commit,
        "branch": _git(here, "rev-parse", "--abbrev-ref", "HEAD"),
        "changed_files": len((_git(here, "status", "--porcelain", "--untracked-files=no") or "").splitlines()),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def versions() -> dict[str, str]:
    """Python and the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


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


def provenance() -> dict[str, Any]:
    """Everything above, for `run.json` and W&B."""
    return {
        "git": git_state(),
        "versions": versions(),
        "hardware": {"host": platform.node(), "system": platform.platform(), "cpu": cpu_features(), "gpus": devices()},
    }


def command_line() -> str:
    """The command as it was typed, for people to read and repeat."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
