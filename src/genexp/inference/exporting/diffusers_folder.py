"""A run of pixel diffusion as a folder that diffusers' `DDPMPipeline` and `DDIMPipeline` load."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor

from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Epsilon, Sample, Velocity
from genexp.diffusion.schedules import VariancePreserving
from genexp.extras import require_extra
from genexp.families.diffusion import Diffusion
from genexp.files.trees import Tree
from genexp.inference.exporting.card import Release, model_card
from genexp.inference.exporting.diffusers_card import card_of
from genexp.networks.unet import UNet
from genexp.networks.unet_weights import to_diffusers
from genexp.sampling.ddim import DDIM
from genexp.sampling.ddpm import VARIANCES
from genexp.tensors import IndexedNoise

if TYPE_CHECKING:
    from genexp.inference.run import Run

TOLERANCE = 1e-4
"""Largest difference between a pixel in [-1, 1] that diffusers draws and ours, from the same noise."""

_STEPS, _IMAGES = 10, 2
PREDICTIONS = {Epsilon: "epsilon", Sample: "sample", Velocity: "v_prediction"}


class DiffusersFolder:
    """What diffusers is told of a run, in its own words: a `UNet2DModel` and the configuration of a scheduler.

    Classes are an embedding that the pipelines of diffusers do not read; one class alone is a term in the bias of the
    time's embedding, and the folder that of an unconditional model.

    Args:
        run: A run of diffusion.
        label: The one class that the folder is to draw, or None for all that the model knows.
        release: What is said of it when it is handed on.

    Raises:
        ValueError: diffusers is not installed, or has no word for something of the run.
    """

    def __init__(self, run: "Run", label: int | None, release: Release) -> None:
        self.run, self.label, self.release = run, label, release
        self.denoiser = _expressed(run.model)
        require_extra("diffusers", "format=diffusers")
        if not isinstance(self.clip, bool):
            raise ValueError(f"sampler.clip must be true or false, {_no('other clipping')}, got {self.clip}")
        classes = self.denoiser.conditioning.num_classes
        if label is not None and (classes is None or label >= classes):
            wanted = "null for a run without classes" if classes is None else f"null or from 0 to {classes - 1}"
            raise ValueError(f"label must be {wanted}, got {label}")
        try:
            self._network, self._weights = to_diffusers(self.denoiser.network)
        except ValueError as error:
            raise ValueError(f"model.network.{error}") from error
        if label is not None:
            self._network["num_class_embeds"] = None
            _absorb(self._weights, label)

    @property
    def conditional(self) -> bool:
        """Whether the network is told a class in every call."""
        return self._network["num_class_embeds"] is not None

    @property
    def kind(self) -> str:
        """What it is drawn by: `classes` or `nothing`."""
        return "classes" if self.conditional else "nothing"

    @property
    def clip(self) -> bool:
        """Whether the run's own sampler clips the clean image."""
        return self.run.config.sampler.get("clip", True)

    @property
    def variance(self) -> str:
        """That of the noise which the run's own sampler adds where it says so, else that of the model's bound."""
        of_sampler = self.run.config.sampler.get("variance")
        return of_sampler if of_sampler in VARIANCES else self.denoiser.variance

    def scheduler_config(self) -> Tree:
        """Arguments of diffusers' `DDPMScheduler`, from which their `DDIMScheduler` takes those that it has as well."""
        schedule = self.denoiser.schedule
        return {
            "num_train_timesteps": schedule.last,
            "trained_betas": schedule.betas.tolist(),
            "prediction_type": PREDICTIONS[type(self.denoiser.prediction)],
            "variance_type": self.variance,
            "clip_sample": self.clip,
            "clip_sample_range": 1.0,
            "timestep_spacing": "trailing",
        }

    def write(self, folder: Path) -> list[tuple[str, str]]:
        """Write the files into an empty folder, and hold what diffusers draws from them against what the run draws.

        Returns:
            What is to be told of them, in rows.

        Raises:
            ValueError: an image differs by more than `TOLERANCE`.
        """
        from diffusers import __version__ as version

        network = {"sample_size": self.denoiser.image_shape[-1], **self._network}
        for name, kind, config in (
            ("unet/config.json", "UNet2DModel", network),
            ("scheduler/scheduler_config.json", "DDPMScheduler", self.scheduler_config()),
        ):
            (folder / name).parent.mkdir()
            _write_json(folder / name, {"_class_name": kind, "_diffusers_version": version, **config})
        file = folder / "unet/diffusion_pytorch_model.safetensors"
        # diffusers reads "format" and refuses a file without it
        save_file(
            {name: value.float().contiguous().clone() for name, value in self._weights.items()}, file, {"format": "pt"}
        )
        parts = {"scheduler": ["diffusers", "DDPMScheduler"], "unet": ["diffusers", "UNet2DModel"]}
        _write_json(
            folder / "model_index.json", {"_class_name": "DDPMPipeline", "_diffusers_version": version, **parts}
        )
        difference = self._difference(folder)
        require_alike(difference)
        card = card_of(self, difference, _STEPS)
        (folder / "README.md").write_text(model_card(self.run, card, file, self.release))
        return [("largest difference of a pixel", f"{difference:.1g}")]

    def _difference(self, folder: Path) -> float:
        """The largest difference of a pixel between images of the run and of the folder, by DDIM from one noise."""
        shape, last = self.denoiser.image_shape, self.denoiser.schedule.last
        steps = next(count for count in range(min(_STEPS, last), 0, -1) if last % count == 0)
        start = torch.randn(_IMAGES, *shape, generator=torch.Generator().manual_seed(0))
        told = {}
        if self.denoiser.conditioning.num_classes is not None:
            told["label"] = torch.full((_IMAGES,), 0 if self.label is None else self.label)
        ours = DDIM(steps, clip=self.clip).run(self.denoiser, start, IndexedNoise(0, range(_IMAGES)), told)
        theirs = _drawn(folder, start, steps, told if self.conditional else {})
        return float((ours.clamp(-1, 1) - theirs.clamp(-1, 1)).abs().max())


def require_alike(difference: float) -> None:
    """Raise ValueError where a pixel that diffusers draws differs by more than `TOLERANCE`."""
    if not difference <= TOLERANCE:
        raise ValueError(
            f"run must be drawn alike by diffusers, to {TOLERANCE:g}, got a pixel that differs by {difference:.2g}"
        )


def _expressed(model: object) -> NetworkDenoiser:
    """The denoiser of a model of which diffusers' pipelines of pixels can say all.

    Raises:
        ValueError: they cannot; names the option.
    """
    if not isinstance(model, Diffusion):
        name = type(model).__name__
        raise ValueError(
            f"format must be another than diffusers for {name}, such as onnx or safetensors, got diffusers"
        )
    denoiser, has = model.denoiser, "which format=diffusers has no word for"
    if model.codec is not None:
        raise ValueError(
            f"model.codec must be null, {has} but with model/network=diffusers_unet, got {type(model.codec).__name__}"
        )
    if not isinstance(denoiser.network, UNet):
        raise ValueError(
            f"model.network must be a unet, {_no('other networks')}, got {type(denoiser.network).__name__}"
        )
    if denoiser.network.patch_size != 1:
        raise ValueError(
            f"model.network.patch_size must be 1, {_no('pixels in channels')}, got {denoiser.network.patch_size}"
        )
    for name in denoiser.conditioning.own:
        part = {"estimate": "self_conditioning"}.get(name, name)
        raise ValueError(f"model.{part} must be null, {has}, got a network that reads {name}")
    further = [name for name in denoiser.conditioning.names if name != "label"]
    if further:
        raise ValueError(f"model.conditions must be empty, {has}, got {', '.join(further)}")
    if not isinstance(denoiser.schedule, VariancePreserving):
        kind = type(denoiser.schedule).__name__
        raise ValueError(f"model.schedule must be one of integer times, {_no('other schedules')}, got {kind}")
    if type(denoiser.prediction) not in PREDICTIONS:
        kind = type(denoiser.prediction).__name__
        raise ValueError(f"model.prediction must be epsilon, sample or velocity, {_no('others')}, got {kind}")
    if denoiser.variance not in VARIANCES:
        raise ValueError(
            f"model.variance must be fixed_small or fixed_large, {_no('learned ones in DDIM')}, got {denoiser.variance}"
        )
    return denoiser


def _no(what: str) -> str:
    return f"for format=diffusers has no word for {what}"


def _absorb(weights: dict[str, Tensor], label: int) -> None:
    """Make weights those of one class: its vector is added to the time's, so the last bias of that may hold it."""
    vectors = weights.pop("class_embedding.weight")
    bias = "time_embedding.linear_2.bias"
    weights[bias] = weights[bias] + vectors[label]


@torch.no_grad()
def _drawn(folder: Path, start: Tensor, steps: int, told: dict[str, Tensor]) -> Tensor:
    """Images (B, C, H, W) that diffusers draws from noise (B, C, H, W) by DDIM, as its pipeline does."""
    from diffusers import DDIMScheduler, UNet2DModel

    network = UNet2DModel.from_pretrained(folder / "unet", local_files_only=True, low_cpu_mem_usage=False)
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    scheduler.set_timesteps(steps)
    x = start
    for t in scheduler.timesteps:
        output = network(x, t, told.get("label")).sample
        x = scheduler.step(output, t, x, use_clipped_model_output=True).prev_sample
    return x


def _write_json(path: Path, content: Tree) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
