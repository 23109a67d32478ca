"""Pictures that steer a trained UNet, by a copy of its way down.

Reference: Zhang, Rao and Agrawala, "Adding Conditional Control to Text-to-Image Diffusion Models" (2023), section 3.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import Condition
from genexp.geometry import fitted
from genexp.networks.tokens import Tokens

if TYPE_CHECKING:
    from genexp.networks.unet import UNet

ENTRY = 16
"""Least channels between the two convolutions that pictures pass."""


class Control(nn.Module):
    """What is added to the skips and to the middle of a UNet, given pictures.

    A copy of the UNet's way down is told all that it is told, and the pictures besides: these pass two convolutions
    and are added to what its first layer gives. What the copy would hand on passes 1 x 1 convolutions and is added.
    The last convolution of the entry and those of the exits start at zero, so at first nothing is added. A model that
    begins with a trained one (`initial=run`) has the copy begin with the weights of the UNet.

    Args:
        network: The UNet, all but this part of it.
        pictures: Channels of every picture, by the name of its condition.
        counts: Channels of the skips in their order, and of the middle.
    """

    def __init__(self, network: "UNet", pictures: Mapping[str, int], counts: Sequence[int]) -> None:
        super().__init__()
        self._network = [network]  # in a list, so that it is no part of this one
        self.pictures = tuple(pictures)
        self.copied = copy.deepcopy(network)
        for part in ("up", "norm", "head"):
            delattr(self.copied, part)
        self.copied.attended.requires_grad_(False)  # never asked: the copy is told what the network's own have read
        inner = max(ENTRY, counts[0])
        self.entry = nn.Sequential(
            nn.Conv2d(sum(pictures.values()) * network.patch_size**2, inner, 3, padding=1),
            nn.SiLU(),
            _nothing(inner, counts[0]),
        )
        self.exits = nn.ModuleList(_nothing(count, count) for count in counts)

    def begin_as_copy(self) -> None:
        """Give the copy the weights that the UNet has now."""
        given = self._network[0].state_dict()
        self.copied.load_state_dict({name: given[name] for name in self.copied.state_dict()})

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition, texts: Tokens | None) -> list[Tensor]:
        """What is added to each skip, and last to the middle.

        Args:
            x_t: Noisy images (B, C, H, W).
            t: Times (B,).
            condition: With the pictures (B, C', h, w), which are brought to the size of the images.
            texts: What the condition is encoded to.
        """
        size, side = tuple(x_t.shape[-2:]), self.copied.patch_size
        seen = [fitted(condition[name].to(x_t.dtype), size) for name in self.pictures]
        hint = self.entry(F.pixel_unshuffle(torch.cat(seen, 1), side))
        h, _, skips = self.copied.way_down(x_t, t, condition, texts, hint)
        return [leave(each) for leave, each in zip(self.exits, [*skips, h], strict=True)]


def _nothing(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1 x 1 convolution that starts at zero."""
    layer = nn.Conv2d(inputs, outputs, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
