"""From a latent to the style of an image."""

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ClassTable, ToldBy, told_modules, vectors_of
from genexp.networks.equalised import Leaky, equalised, normalised

RATE = 0.01
"""How fast the mapping learns, as a share of the rest of the generator."""

MEAN_HALF_LIFE = 4_000
"""Images after which a style's weight in the running mean has halved."""


class StyleMapping(nn.Module):
    """Latents, divided by the root of their mean square, through linear layers to style vectors w.

    A condition enters as a vector of the size of the latent, normalised likewise, beside it. `mean` is a running mean
    of w over training images, one after the other, so that it is the same however a batch is split.

    Reference: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks" (2019).

    Args:
        latent_size: Size of the latent.
        style_size: Size of w, and of the layers before it.
        depth: Layers, at least 1.
        num_classes: Number of classes; None without.
        told: What makes a vector of a further condition, by its name.

    Raises:
        ValueError: `depth` is below 1.
    """

    mean: Tensor

    def __init__(
        self,
        latent_size: int,
        style_size: int,
        depth: int,
        num_classes: int | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"depth must be at least 1 layer of the mapping, got {depth}")
        self.embedding = equalised(ClassTable(num_classes, latent_size)) if num_classes else None
        self.told = told_modules(told, latent_size)
        inputs = latent_size * (1 + bool(num_classes) + len(self.told))
        layers = [nn.Linear(inputs if i == 0 else style_size, style_size) for i in range(depth)]
        self.body = nn.Sequential(*(part for each in layers for part in (equalised(each, RATE), Leaky())))
        self.register_buffer("mean", torch.zeros(style_size))
        self.track_running_stats = True  # until `frozen_statistics`

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, latent_size) and a condition to w (B, style_size)."""
        told = vectors_of(condition, self.embedding, self.told)
        return self.body(torch.cat([normalised(each) for each in (latent, *told)], 1))

    @torch.no_grad()
    def follow(self, style: Tensor) -> None:
        """In training, move the mean by the styles (B, style_size) of so many images."""
        if not (self.training and self.track_running_stats):
            return
        keep = 0.5 ** (1 / MEAN_HALF_LIFE)
        age = torch.arange(len(style) - 1, -1, -1, device=style.device)
        self.mean.mul_(keep ** len(style)).add_((1 - keep) * (keep**age) @ style.to(self.mean.dtype))
