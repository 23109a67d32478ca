"""Runs written as files that other libraries load. Imports no torch."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

if TYPE_CHECKING:
    from genexp.inference.run import Run

Writer = Callable[["Run", DictConfig], Callable[[Path], None]]
"""Refuses a run and options that a format has no word for, with a ValueError; returns what writes into a folder."""


def _diffusers(run: "Run", config: DictConfig) -> Callable[[Path], None]:
    from genexp.inference.exporting.diffusers_folder import DiffusersFolder
    from genexp.inference.exporting.stable_diffusion import StableDiffusionFolder, is_stable_diffusion

    if is_stable_diffusion(run.model):
        if config.label is not None:
            raise ValueError(f"label must be null for a run without classes, got {config.label}")
        return StableDiffusionFolder(run, config.licence).write
    return DiffusersFolder(run, config.label, config.licence).write


FORMATS: dict[str, Writer] = {"diffusers": _diffusers}
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
    )
}
"""What each format writes; the first file says that the folder is one."""
