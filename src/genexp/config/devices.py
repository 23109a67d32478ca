"""Whether this machine has the devices that a configuration asks for. Imports torch only where there may be a GPU."""

import sys
from collections.abc import Iterator
from pathlib import Path

from genexp.config.problems import Problem
from genexp.files.json_records import shown
from genexp.files.trees import Tree
from genexp.hardware import usable_cores
from genexp.terminal import counted

_NODES = ("nvidia*", "nvhost*", "nvgpu*", "dxg", "kfd")
"""Files in /dev of which there is one at least on Linux where CUDA or ROCm has a GPU."""


def gpu_count() -> int:
    """GPUs that PyTorch can use here; found without it where Linux has no device of this kind at all."""
    if sys.platform.startswith("linux") and not any(any(Path("/dev").glob(each)) for each in _NODES):
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def has_mps() -> bool:
    """Whether there is an Apple GPU."""
    if sys.platform != "darwin":
        return False
    import torch

    return torch.backends.mps.is_available()


def device_problems(plain: Tree) -> Iterator[Problem]:
    """What `trainer` and `device` of a configuration, types checked, ask for and this machine has not."""
    if isinstance(trainer := plain.get("trainer"), dict):
        yield from _of_trainer(trainer)
    device = plain.get("device", "auto")
    if device == "mps" and not has_mps():
        yield Problem("device", "must be auto or cpu on a machine without an Apple GPU, got 'mps'")
    if str(device).startswith("cuda"):
        count, asked = gpu_count(), int(str(device).partition(":")[2] or 0)
        if not count:
            yield Problem("device", f"must be auto or cpu on a machine without a GPU, got {shown(device)}")
        elif asked >= count:
            yield Problem("device", f"must be below cuda:{count} on this machine, got {shown(device)}")


def _of_trainer(trainer: Tree) -> Iterator[Problem]:
    accelerator, devices = trainer.get("accelerator", "auto"), trainer.get("devices", "auto")
    if accelerator == "mps" and not has_mps():
        yield Problem("trainer.accelerator", "must be auto or cpu on a machine without an Apple GPU, got 'mps'")
        return
    count = 0 if accelerator in ("cpu", "mps") else gpu_count()
    if accelerator in ("gpu", "cuda") and not count and not (accelerator == "gpu" and has_mps()):
        rule = f"must be auto or cpu on a machine without a GPU, got {shown(accelerator)}"
        yield Problem("trainer.accelerator", f"{rule}{_several_here(str(trainer.get('strategy', 'auto')))}")
        return
    if count:
        yield from _of_gpus(devices, count)
    elif accelerator in ("auto", "cpu") and not has_mps():
        yield from _of_cpu(devices, trainer.get("precision"))


def _several_here(strategy: str) -> str:
    """How several processes are tried without a GPU, as the end of a line; empty where one is asked for."""
    if strategy == "fsdp":
        return "; trainer.accelerator=cpu trainer.devices=2 tries it in two processes"
    return "; trainer=ddp_cpu tries it in two processes" if strategy.startswith("ddp") else ""


def _of_gpus(devices: int | str | list[int], count: int) -> Iterator[Problem]:
    listed = devices if isinstance(devices, list) else []
    if isinstance(devices, str) and "," in devices:
        listed = [int(each) for each in devices.split(",") if each]
    asked = max(listed) + 1 if listed else int(devices) if str(devices).isdigit() else 0
    if asked > count:
        numbers = f"numbers below {count}" if listed else f"at most {count}"
        yield Problem("trainer.devices", f"must be {numbers}, the GPUs of this machine, got {shown(devices)}")


def _of_cpu(devices: int | str | list[int], precision: str | int | None) -> Iterator[Problem]:
    if isinstance(devices, list) or (devices != "auto" and (not str(devices).isdigit() or int(devices) < 1)):
        yield Problem("trainer.devices", f"must be a number of processes on the CPU, got {shown(devices)}")
    elif devices != "auto" and int(devices) > max(2, usable_cores()):  # two, to try out what several do
        rule = f"must be at most {max(2, usable_cores())}, as this machine has {counted(usable_cores(), 'core')}"
        yield Problem("trainer.devices", f"{rule}, got {shown(devices)}")
    if str(precision) in ("16", "16-mixed"):
        yield Problem("trainer.precision", f"must be 32-true or bf16-mixed on the CPU, got {shown(precision)}")
