"""Watermarks of what is drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from genexp.config.compose import conf_dir
from genexp.contracts import Sampler
from genexp.contracts.codecs import codec_of
from genexp.inference.marked_pixels import marked, require_markable
from genexp.sample_kinds import SampleKind, kind_of
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.consistency import ConsistencySampler
from genexp.sampling.marked_noise import MarkedNoise
from genexp.tensors import Grid, to_float, to_uint8


@dataclass(frozen=True)
class Watermark:
    """The mark that drawn images get.

    Args:
        key: Any text.
        place: `pixels` or `noise`.
        strength: Of a mark in pixels, see `genexp.inference.marked_pixels.marked`.
    """

    key: str
    place: str
    strength: float

    def require(self, shape: tuple[int, ...], sampler: Sampler | None, model: object = None) -> None:
        """Raise ValueError where samples of this shape, of this sampler or of this model cannot have it."""
        if kind_of(shape) is not SampleKind.IMAGES:
            raise ValueError(f"watermark must be null for samples that are no images, got shape {shape}")
        if self.place == "pixels":
            require_markable(shape[-2:], self.key)
        elif not isinstance(sampler, DiffusionSampler) or not sampler.deterministic:
            name = type(sampler).__name__
            raise ValueError(f"watermark_in=noise needs a diffusion sampler that adds no fresh noise, got {name}")
        elif isinstance(sampler, ConsistencySampler):
            raise ValueError("watermark_in must be pixels for a single step, from which no way leads back, got noise")
        elif codec_of(model) is not None:
            why = "from whose images their noise is not found again"
            raise ValueError(f"watermark_in must be pixels for a run that draws codes, {why}, got noise")

    def before(self, sampler: Sampler) -> Sampler:
        """A sampler that begins with marked noise, where the mark is in the noise."""
        if self.place == "noise":
            sampler.marks = MarkedNoise(self.key).onto
        return sampler

    def after(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] with the mark, where it is in the pixels."""
        if self.place == "noise":
            return images
        return torch.stack([to_float(marked(to_uint8(image), self.key, self.strength)) for image in images])

    def on(self, picture: Tensor) -> Tensor:
        """A picture (C, H, W) uint8 with the mark in its pixels; opacity, behind three colours, stays as it is."""
        colours = picture[:3]
        return torch.cat([marked(colours, self.key, self.strength), picture[len(colours) :]])

    def beside(self, found: Mapping[str, Callable[[], Grid]]) -> dict[str, Callable[[], Grid]]:
        """What draws pictures beside the grid, by their files, with the mark in every image that was drawn.

        Those of `pairs.png` stay as they are: given images are among them.
        """

        def with_mark(draws: Callable[[], Grid]) -> Grid:
            grid = draws()
            return replace(grid, samples=self.after(grid.samples))

        return {name: draws if name == "pairs.png" else partial(with_mark, draws) for name, draws in found.items()}


def pixel_watermark_of(config: DictConfig, command: str) -> Watermark | None:
    """What a command, `stylize` or `restore`, is asked to mark pictures with, or None.

    Raises:
        ValueError: a setting of a mark is given without a key.
    """
    _require_key(config, OmegaConf.load(conf_dir() / f"{command}.yaml"))
    return None if config.watermark is None else Watermark(config.watermark, "pixels", config.watermark_strength)


def watermark_of(config: DictConfig) -> Watermark | None:
    """What `genexp sample` is asked to mark images with, or None.

    Raises:
        ValueError: the mark would be in a noise that images do not begin with; a setting has no effect.
    """
    shipped = OmegaConf.load(conf_dir() / "sample.yaml")
    _require_key(config, shipped)
    if config.watermark is None:
        return None
    if config.watermark_in == "noise" and config.get("edit") is not None:
        raise ValueError("watermark_in must be pixels with edit, whose images do not begin with noise alone, got noise")
    if config.watermark_in == "noise" and config.watermark_strength != shipped.watermark_strength:
        given = f"{config.watermark_strength:g}"
        raise ValueError(f"watermark_strength must be left as it is with watermark_in=noise, got {given}")
    return Watermark(config.watermark, config.watermark_in, config.watermark_strength)


def _require_key(config: DictConfig, shipped: DictConfig) -> None:
    """Raise ValueError where a setting of a mark was changed from what is shipped, and there is no mark."""
    for name in ("watermark_in", "watermark_strength"):
        if config.watermark is None and name in config and config[name] != shipped[name]:
            raise ValueError(f"{name} must be left as it is without watermark=<key>, got {config[name]}")
