"""The tokeniser of a finished run as a part of another."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.contracts import Batch, Noise
from genexp.contracts.tokenisers import Tokeniser
from genexp.inference.run import Run
from genexp.inference.trained import TrainedPart


@dataclass(eq=False)
class TrainedTokens(TrainedPart):
    """The quantised autoencoder of a finished run, between images and grids of codes; nothing is learned there.

    Reference: van den Oord, Vinyals and Kavukcuoglu, "Neural Discrete Representation Learning" (2017), section 3.3.
    """

    def _begin(self, opened: Run) -> None:
        self._tokeniser = self._source(Tokeniser, "a quantised autoencoder (model=quantised)")
        self.image_shape = tuple(opened.config.data.shape)
        self.code_shape, self.codes = tuple(self._tokeniser.code_shape), self._tokeniser.codes

    @property
    def levels(self) -> int | None:
        """Values that a pixel may have, where the likelihood is a probability."""
        return self._tokeniser.levels

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch as the likelihood sees it."""
        return self._tokeniser.observe(batch, noise)

    @torch.no_grad()
    def tokens(self, image: Tensor) -> Tensor:
        """The codes (B, h, w) of observed images (B, *image_shape), in the precision of its weights."""
        self._follow(image)
        with torch.autocast(image.device.type, enabled=False):
            return self._tokeniser.tokens(image)

    @torch.no_grad()
    def from_tokens(self, code: Tensor) -> Tensor:
        """Codes (B, h, w) to images (B, *image_shape) in [-1, 1], in the precision of its weights."""
        self._follow(code)
        with torch.autocast(code.device.type, enabled=False):
            return self._tokeniser.from_tokens(code)

    @torch.no_grad()
    def log_likelihood_of(self, batch: Batch, code: Tensor) -> Tensor:
        """log p(x | codes) (B,) in nats of an observed batch."""
        self._follow(code)
        with torch.autocast(code.device.type, enabled=False):
            return self._tokeniser.log_likelihood_of(batch, code)
