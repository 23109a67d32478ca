"""Sampling in one pass, with styles nearer to their mean than the generator makes them."""

import torch
from torch import Tensor

from genexp.conditioning.base import Condition
from genexp.contracts import LatentDecoder
from genexp.contracts.generating import HasGenerator
from genexp.networks.styled import Styled
from genexp.sampling.latent import Decode, Latent


class LatentByStyle(Latent):
    """z ~ N(0, I), w = mean + spread (style(z) - mean), image = synthesise(w); noise stays that of the latent.

    Images near the mean style are better and more alike.

    Reference: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks" (2019),
    appendix B, where `spread` is psi.

    Args:
        spread: Share of its distance from the mean that a style keeps, in [0, 1]: 1 for all of it, 0 for the image of
            the mean.

    Raises:
        ValueError: `spread` lies outside [0, 1].
    """

    def __init__(self, spread: float = 0.7) -> None:
        super().__init__()
        if not 0 <= spread <= 1:
            raise ValueError(f"spread must lie in [0, 1], got {spread}")
        self.spread = spread

    def require(self, model: object) -> None:
        """Check that the model decodes latents by styles.

        Raises:
            TypeError: it decodes no latents.
            ValueError: its generator makes no styles.
        """
        super().require(model)
        _styled(model)

    def decoder(self, model: LatentDecoder) -> Decode:
        """Images of latents by the styles that lie so near to their mean."""
        generator = _styled(model)

        def decode(latent: Tensor, condition: Condition) -> Tensor:
            styles = torch.lerp(generator.mean_style, generator.styles(latent, condition), self.spread)
            return generator.synthesise(styles, latent)

        return decode


def _styled(model: object) -> Styled:
    """The generator of styles of a model.

    Raises:
        ValueError: there is none.
    """
    generator = model.generator if isinstance(model, HasGenerator) else model
    if not isinstance(generator, Styled):
        raise ValueError(f"model must have a generator of styles, as stylegan2 is, got {type(generator).__name__}")
    return generator
