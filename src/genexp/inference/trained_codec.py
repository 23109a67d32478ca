"""The autoencoder of a finished run as a codec."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.config.instantiate import build
from genexp.contracts import LatentEncoder
from genexp.contracts.codecs import as_codes_ask
from genexp.contracts.maps import HasMaps, MapCoder
from genexp.files.trees import Tree
from genexp.inference.codes import MEASURED, in_the_cache, require_scale, shape_of_codes
from genexp.inference.run import Run
from genexp.inference.trained import TrainedPart
from genexp.restoration.tiled_decoding import in_tiles


@dataclass(eq=False)
class TrainedCodec(TrainedPart):
    """The autoencoder of a finished run, between images and `scale` times its latents.

    An image becomes the mean of its posterior; of a quantised autoencoder its features before they are quantised, which
    decoding begins with. Latents that are feature maps stay maps, and are of images of any size. `run`, `weights`,
    `checkpoint` and `digest` are those of every `TrainedPart`.

    Reference: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), section 3 and
    appendix G for the scale.

    Args:
        scale: Codes over latents, above 0. A diffusion wants codes of about unit variance, which those of an
            autoencoder have whose posteriors are close to its prior. `measured` is one over the standard deviation of
            the latents of the first 1,024 training images; a training writes the number into its configuration.
        image_shape: Shape (c, H, W) of the images; None for those of the run, and of any other that its factor divides
            where latents are maps.
        tile: Side in pixels of the parts in which maps are decoded, see `in_tiles`; None for whole.
    """

    scale: float | str = 1.0
    image_shape: Sequence[int] | None = None
    tile: int | None = None

    def _begin(self, opened: Run) -> None:
        require_scale(self.scale)
        source, own = self._family.source(), tuple(opened.config.data.shape)
        self._maps: MapCoder | None = source.map_coder() if isinstance(source, HasMaps) else None
        self._coder = self._source(LatentEncoder, "an autoencoder") if self._maps is None else self._maps
        if self._family.conditioning.names:
            told = self._family.conditioning
            raise ValueError(f"run must be of an autoencoder that is told nothing, got {self._given}, told {told}")
        self.image_shape = own if self.image_shape is None else tuple(self.image_shape)
        if self._maps is not None and self.image_shape[0] == own[0]:
            self.code_shape = shape_of_codes(self._maps, self.image_shape)
            return
        if self.image_shape != own:
            raise ValueError(f"run must be of images of shape {list(self.image_shape)}, got one of {list(own)}")
        if self.tile is not None:
            raise ValueError(f"tile must be null for a run whose latents are no maps, got {self.tile}")
        self.code_shape = tuple(self._coder.latent_shape)

    def __eq__(self, other: object) -> bool:
        known = (self.digest, self.weights, self.scale)
        return isinstance(other, TrainedCodec) and known == (other.digest, other.weights, other.scale)

    @classmethod
    def measured(cls, node: Tree, data: Tree) -> Tree:
        """The part's configuration with the number that `scale: measured` stands for.

        Args:
            node: Plain containers.
            data: Those of the data that are trained on.

        Raises:
            ValueError: the latents are all the same.
        """
        codec, images, latents = build({**node, "scale": 1.0}), build(data).training_images(), []
        while sum(map(len, latents)) < MEASURED_ON and (batch := next(images, None)) is not None:
            latents.append(codec.encode(batch["image"]))
        std = float(torch.cat(latents)[:MEASURED_ON].double().std())
        if not std > 0:
            raise ValueError(f"scale must be a number for latents that are all the same, got {MEASURED}")
        return {**node, "scale": float(f"{1 / std:.5g}")}

    @property
    def fingerprint(self) -> str:
        """Of what codes follow from, beside the image."""
        return f"{type(self).__name__} {self.digest} {self.weights} {self.scale!r}"

    @property
    def _factor(self) -> float:
        if isinstance(self.scale, str):
            raise ValueError(f"scale must be a number once codes are made, got {self.scale}, which trainings measure")
        return self.scale

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        """Images (B, *image_shape) in [-1, 1] to codes (B, *code_shape), in the precision of its weights."""
        self._follow(image)
        with torch.autocast(image.device.type, enabled=False):
            return self._factor * in_the_cache(self._coder.encode, image)

    def decode(self, code: Tensor) -> Tensor:
        """Codes (B, *code_shape) to images (B, *image_shape) in [-1, 1], in the precision of its weights."""
        self._follow(code)
        with as_codes_ask(code), torch.autocast(code.device.type, enabled=False):
            return in_the_cache(self._decoded, code / self._factor)

    def _decoded(self, latent: Tensor) -> Tensor:
        if self._maps is None or self.tile is None:
            return self._coder.decode(latent)
        return in_tiles(self._maps, latent, self.tile)


MEASURED_ON = 1024
"""Training images, the first in order and as they are, on which a scale is measured."""
