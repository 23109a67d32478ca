"""A density of images by their codes: how likely the codes are, and the image given them."""

from collections.abc import Callable

from torch import Tensor

from genexp.contracts import Batch, Noise
from genexp.contracts.tokenisers import Tokeniser
from genexp.densities.in_order import InOrder
from genexp.tensors import from_levels


class TokenDensity:
    """log p(x) >= log p(codes) + log p(x | codes), for the codes that a tokeniser gives an image.

    The right-hand side is one summand of p(x) = sum over all codes: a bound from below, closer than that by a prior of
    equal codes by what the density has learned of them. Codes stand in a picture (1, h, w) of as many levels as there
    are codes, evenly spread over [-1, 1]; a network that has vectors for levels does not mind their order.

    Reference: van den Oord, Vinyals and Kavukcuoglu, "Neural Discrete Representation Learning" (2017), section 3.3.

    Args:
        density: Of the codes.
        tokeniser: Between images and codes.

    Raises:
        ValueError: the density is of another grid or of another number of codes.
    """

    exact = False

    def __init__(self, density: InOrder, tokeniser: Tokeniser) -> None:
        wanted = (1, *tokeniser.code_shape)
        if density.image_shape != wanted:
            given = list(density.image_shape)
            raise ValueError(f"density.image_shape must be {list(wanted)}, the codes of model.codec, got {given}")
        if density.levels != tokeniser.codes:
            raise ValueError(f"density.levels must be the {tokeniser.codes} codes of model.codec, got {density.levels}")
        self.of_codes, self.tokeniser, self.conditioning = density, tokeniser, density.conditioning

    @property
    def levels(self) -> int | None:
        """Values that a pixel may have, where the likelihood of images given codes is a probability."""
        return self.tokeniser.levels

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch as the tokeniser's likelihood sees it."""
        return self.tokeniser.observe(batch, noise)

    def log_prob(self, batch: Batch) -> Tensor:
        """The bound (B,) in nats of an observed batch."""
        distortion, rate = self.code_lengths(batch)
        return -distortion - rate[:, 0]

    def code_lengths(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-log p(x | codes) (B,) and -log p(codes) (B, 1) in nats of an observed batch."""
        code = self.tokeniser.tokens(batch["image"])
        rate = -self.of_codes.log_prob(self._pictured(batch, code))
        return -self.tokeniser.log_likelihood_of(batch, code), rate[:, None]

    def coded(self, batch: Batch, noise: Callable[[Tensor], Noise]) -> Batch:
        """A batch of images as the density of codes is trained on it."""
        observed = self.observe(batch, noise(batch["image"]))
        return self._pictured(observed, self.tokeniser.tokens(observed["image"]))

    def _pictured(self, batch: Batch, code: Tensor) -> Batch:
        return {**batch, "image": from_levels(code[:, None], self.of_codes.levels)}
