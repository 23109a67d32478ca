"""A run of Stable Diffusion's layout as a folder that diffusers' `StableDiffusionPipeline` loads."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genexp.diffusion.schedules import VariancePreserving
from genexp.extras import require_extra
from genexp.families.diffusion import Diffusion
from genexp.files.trees import Tree
from genexp.inference.diffusers_codec import DiffusersCodec
from genexp.inference.exporting.card import Release, model_card
from genexp.inference.exporting.diffusers_card import card_of
from genexp.inference.exporting.diffusers_folder import PREDICTIONS, require_alike
from genexp.networks.diffusers_unet import DiffusersUNet
from genexp.networks.frozen_text import FrozenText
from genexp.sampling.ddim import DDIM
from genexp.sampling.guidance import ClassifierFree
from genexp.tensors import IndexedNoise

if TYPE_CHECKING:
    from genexp.inference.run import Run

_STEPS, _IMAGES, _SCALE = 20, 2, 3.0


def is_stable_diffusion(model: object) -> bool:
    """Whether a model is of a UNet of diffusers, of which alone there is such a layout."""
    return isinstance(model, Diffusion) and isinstance(model.network, DiffusersUNet)


class StableDiffusionFolder:
    """What diffusers is told of a run whose networks are diffusers' and transformers' own.

    Autoencoder, text encoder and tokenizer are those of the folders that the run was trained with.

    Args:
        run: A run of diffusion by a `DiffusersUNet`.
        release: What is said of it when it is handed on.

    Raises:
        ValueError: the extra is not installed, or diffusers has no word for something of the run.
    """

    label, kind = None, "words"

    def __init__(self, run: "Run", release: Release) -> None:
        for library in ("diffusers", "transformers"):
            require_extra(library, "format=diffusers")
        self.run, self.release, self.model = run, release, run.model
        self.denoiser = self.model.denoiser
        codec, text = self.model.codec, self.denoiser.network.attended
        has = "which StableDiffusionPipeline has no word for"
        if not isinstance(codec, DiffusersCodec) or codec.scale != codec.configured_scale:
            raise ValueError(f"model.codec must be diffusers with its own scale, others are {has[6:]}, got {codec}")
        if tuple(text) != ("caption",) or not isinstance(text["caption"], FrozenText) or not text["caption"].whole:
            raise ValueError(f"model.network.attended must be a whole frozen caption, got others, {has}")
        if run.config.sampler.get("clip"):
            raise ValueError(
                f"sampler.clip must be false, for codes are not clipped there, got {run.config.sampler.clip}"
            )
        if not isinstance(self.denoiser.schedule, VariancePreserving):
            raise ValueError(f"model.schedule must be one of integer times, got others, {has}")
        if type(self.denoiser.prediction) not in PREDICTIONS:
            raise ValueError(f"model.prediction must be epsilon, sample or velocity, got others, {has}")

    def scheduler_config(self) -> Tree:
        """Arguments of diffusers' `DDIMScheduler`, at the times of the run's sampler where it has a word for them."""
        spacing = self.run.config.sampler.get("spacing")
        mapping = spacing if isinstance(spacing, Mapping) and "leading" in spacing else {}
        named = spacing if spacing in ("trailing", "linspace") else "trailing"
        return {
            "num_train_timesteps": self.denoiser.schedule.last,
            "trained_betas": self.denoiser.schedule.betas.tolist(),
            "prediction_type": PREDICTIONS[type(self.denoiser.prediction)],
            "clip_sample": False,
            "timestep_spacing": "leading" if mapping else named,
            "steps_offset": int(mapping.get("leading", 0)),
            "set_alpha_to_one": not mapping.get("end", 0),
        }

    def write(self, folder: Path) -> list[tuple[str, str]]:
        """Write the files into an empty folder, and hold what diffusers draws from them against what the run draws.

        Returns:
            What is to be told of them, in rows.

        Raises:
            ValueError: an image differs by more than `TOLERANCE`.
        """
        from diffusers import DDIMScheduler, StableDiffusionPipeline

        caption, codec = self.denoiser.network.attended["caption"], self.model.codec
        pipeline = StableDiffusionPipeline(
            vae=codec.network,
            text_encoder=caption.encoder,
            tokenizer=caption.text.tokenizer,
            unet=self.denoiser.network.unet,
            scheduler=DDIMScheduler(**self.scheduler_config()),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(folder)
        difference = self._difference(folder)
        require_alike(difference)
        file = folder / "unet/diffusion_pytorch_model.safetensors"
        card = card_of(self, difference, _STEPS)
        (folder / "README.md").write_text(model_card(self.run, card, file, self.release))
        return [("largest difference of a pixel", f"{difference:.1g}")]

    @torch.no_grad()
    def _difference(self, folder: Path) -> float:
        """The largest difference of a pixel between images of the run and of the folder, by DDIM from one noise."""
        from diffusers import StableDiffusionPipeline

        theirs = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False)
        theirs.set_progress_bar_config(disable=True)
        start = torch.randn(_IMAGES, *self.denoiser.image_shape, generator=torch.Generator().manual_seed(0))
        texts, last = ["a", "b"], self.denoiser.schedule.last
        steps = next(count for count in range(min(_STEPS, last), 0, -1) if last % count == 0)
        given = {"num_inference_steps": steps, "guidance_scale": _SCALE, "output_type": "pt"}
        drawn: Tensor = 2 * theirs(texts, latents=start, **given).images - 1
        settings = theirs.scheduler.config
        spacing = settings.timestep_spacing
        if spacing == "leading":
            spacing = {"leading": settings.steps_offset, "end": int(not settings.set_alpha_to_one)}
        sampler = DDIM(steps, 0.0, spacing, clip=False, guidance=ClassifierFree(_SCALE))
        told = self.denoiser.conditioning.read({"caption": texts})
        own = sampler.run(self.model.source(), start, IndexedNoise(0, range(_IMAGES)), told)
        return float((own.clamp(-1, 1) - drawn).abs().max())
