"""What a machine offers: the device that a name stands for, and whether bf16 is worth using."""

import torch

from genexp.runs.provenance import cpu_features


def device_of(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` stands for."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def precision_of(gpu: bool) -> str:
    """The precision that `auto` stands for on a GPU or on this processor.

    It is bf16-mixed on GPUs that have bf16 and on CPUs with AMX, where it is faster and safe (float32 weights, and
    losses outside autocast); elsewhere it is 32-true.

    Args:
        gpu: Whether training takes place on a GPU.
    """
    fast = torch.cuda.is_bf16_supported() if gpu else cpu_features()["amx_bf16"]
    return "bf16-mixed" if fast else "32-true"
