"""The encoder of a finished autoencoder as what embeds pictures."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.contracts import LatentEncoder
from genexp.inference.run import Run
from genexp.inference.trained import TrainedPart


@dataclass(eq=False)
class TrainedFeatures(TrainedPart):
    """Pictures to the mean of their posterior, flattened, by the autoencoder of a finished run."""

    def _begin(self, opened: Run) -> None:
        self._coder = self._source(LatentEncoder, "an autoencoder")
        if self._family.conditioning.names:
            told = self._family.conditioning
            raise ValueError(f"run must be of an autoencoder that is told nothing, got {self._given}, told {told}")
        self.dimensions = torch.Size(self._coder.latent_shape).numel()

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, dimensions) of images (B, C, H, W) in [-1, 1]."""
        self._follow(image)
        return self._coder.encode(image).flatten(1)
