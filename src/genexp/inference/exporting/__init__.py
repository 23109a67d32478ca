"""Runs written as files that other libraries load. Imports no torch."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.inference.exporting.part_formats import PARTS_IN

if TYPE_CHECKING:
    from genexp.inference.exporting.card import Release
    from genexp.inference.run import Run

Write = Callable[[Path], list[tuple[str, str]]]
"""Writes into an empty folder, and returns what is to be told of that in rows."""

Writer = Callable[["Run", DictConfig, "Release"], Write]
"""Refuses a run and options that a format has no word for, with a ValueError; returns what writes."""


def _diffusers(run: "Run", config: DictConfig, release: "Release") -> Write:
    from genexp.inference.exporting.diffusers_folder import DiffusersFolder
    from genexp.inference.exporting.stable_diffusion import StableDiffusionFolder, is_stable_diffusion

    for key in ("part", "sampler"):
        if config.get(key) is not None:
            raise ValueError(f"{key} must be null for format=diffusers, which has a network and a schedule")
    if is_stable_diffusion(run.model):
        if config.label is not None:
            raise ValueError(f"label must be null for a run without classes, got {config.label}")
        return StableDiffusionFolder(run, release).write
    return DiffusersFolder(run, config.label, release).write


def _part(kind: str, run: "Run", config: DictConfig, release: "Release") -> Write:
    from genexp.inference.exporting.part_file import PartFile

    return PartFile(run, config, kind, release).write


FORMATS: dict[str, Writer] = {"diffusers": _diffusers} | {kind: partial(_part, kind) for kind in PARTS_IN}
"""By the name that `format` has."""

FILES: dict[str, tuple[str, ...]] = {
    "diffusers": (
        "model_index.json",
        "README.md",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
    ),
    **{kind: (file, "README.md") for kind, file in PARTS_IN.items()},
    "openvino": ("model.xml", "model.bin", "README.md"),
}
"""What each format writes; the first file says that the folder is one."""
