"""Provenance: code state, versions, hardware. Nothing here needs the network."""

import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from genexp.files.trees import Tree
from genexp.hardware import cpu_features, devices

PACKAGES = ("genexp", "torch", "torchvision", "lightning", "hydra-core", "omegaconf", "wandb", "torchmetrics")


def git_state(folder: Path | None = None) -> Tree | None:
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


def provenance() -> Tree:
    """Everything above, for `run.json` and W&B."""
    return {
        "git": git_state(),
        "versions": versions(),
        "hardware": {"host": platform.node(), "system": platform.platform(), "cpu": cpu_features(), "gpus": devices()},
    }


def command_line(secret: str | None = None) -> str:
    """The command as it was typed, for people to read and repeat; without the value of the key that is secret."""
    words = [f"{secret}=..." if secret and word.startswith(f"{secret}=") else word for word in sys.argv[1:]]
    return shlex.join([Path(sys.argv[0]).name, *words])
