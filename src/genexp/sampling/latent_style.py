"""Sampling in one pass, with styles nearer to their mean than the generator makes them."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import LatentDecoder, Progress
from genexp.networks.styled import Styled
from genexp.sampling.latent import Latent
from genexp.tensors import IndexedNoise


@runtime_checkable
class _Generating(Protocol):
    """A latent decoder whose images a generator makes."""

    @property
    def generator(self) -> object: ...


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

    @torch.no_grad()
    def run(
        self,
        model: LatentDecoder,
        start: Tensor,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) decoded from the latents `start`."""
        generator = _styled(model)
        styles = torch.lerp(generator.mean_style, generator.styles(start, condition), self.spread)
        images = generator.synthesise(styles, start)
        if progress is not None:
            progress(1, 1)
        return images


def _styled(model: object) -> Styled:
    """The generator of styles of a model.

    Raises:
        ValueError: there is none.
    """
    generator = model.generator if isinstance(model, _Generating) else model
    if not isinstance(generator, Styled):
        raise ValueError(f"model must have a generator of styles, as stylegan2 is, got {type(generator).__name__}")
    return generator
