"""Attention of an image to tokens of something else, such as the words of its caption."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from genexp.networks.blocks import group_norm
from genexp.networks.tokens import Tokens, attention_to


class CrossAttention(nn.Module):
    """Multi-head attention of every token of an image to those that it is told, without a residual path.

    y = project_out(softmax(q k^T / sqrt(D)) v), where q is linear in the image's tokens, k and v in the others, and
    D = width / heads. What does not count among the others has no share.

    Reference: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), section 3.3.

    Args:
        width: Channels of an image's token.
        features: Channels of a token that it is told.
        heads: Number of heads; must divide `width`.

    Raises:
        ValueError: `heads` does not divide `width`.
    """

    lends = False
    """Whether samples come in twos, of which the second attends where the first does, see `lending_maps`."""

    def __init__(self, width: int, features: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"heads must divide the {width} channels, got {heads}")
        self.heads = heads
        self.query, self.keys_values = nn.Linear(width, width), nn.Linear(features, 2 * width)
        self.project_out = nn.Linear(width, width)

    def forward(self, image: Tensor, texts: Tokens) -> Tensor:
        """Tokens of images (B, M, width) and what these are told to what is added to them, (B, M, width)."""
        k, v = self.keys_values(texts.rows).chunk(2, dim=2)
        q, counted = self.query(image), texts.counted
        if self.lends:
            q, k, counted = (each[::2].repeat_interleave(2, 0) for each in (q, k, counted))
        return self.project_out(attention_to(q, k, v, counted, self.heads))


class PixelCrossAttention(nn.Module):
    """`CrossAttention` of all pixels, normalised first and added to its input.

    Args:
        channels: Channels of input and output.
        features: Channels of a token that the pixels are told.
        heads: Number of heads; must divide `channels`.
        groups: Largest number of normalisation groups.
    """

    def __init__(self, channels: int, features: int, heads: int, groups: int = 32) -> None:
        super().__init__()
        self.norm = group_norm(channels, groups)
        self.attention = CrossAttention(channels, features, heads)

    def forward(self, x: Tensor, texts: Tokens | None) -> Tensor:
        """Features (B, C, H, W) and what their pixels are told to features of the same shape.

        Raises:
            ValueError: nothing is told.
        """
        if texts is None:
            raise ValueError("texts must be given to a network that attends to some, got none")
        pixels = self.norm(x).flatten(2).mT  # (B, H W, C)
        return x + self.attention(pixels, texts).mT.unflatten(2, x.shape[2:])


class Untold(nn.Module):
    """In the place of `PixelCrossAttention` where nothing is attended to: features as they are."""

    def forward(self, x: Tensor, texts: Tokens | None) -> Tensor:
        """Features (B, C, H, W) to themselves."""
        return x


def swaps_maps(network: nn.Module) -> bool:
    """Whether a network has cross-attention whose maps can be lent."""
    return any(isinstance(module, CrossAttention) for module in network.modules())


@contextmanager
def lending_maps(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Within, every second sample of a batch attends to its tokens where the one before it does to its own."""
    modules = [module for network in networks for module in network.modules()]
    attending = [module for module in modules if isinstance(module, CrossAttention)]
    try:
        for module in attending:
            module.lends = True
        yield
    finally:
        for module in attending:
            module.lends = False


def start_at_nothing(modules: Iterable[nn.Module]) -> None:
    """Let every cross-attention among `modules` add exactly nothing, as if it were not there."""
    for module in modules:
        if isinstance(module, CrossAttention):
            nn.init.zeros_(module.project_out.weight)
            nn.init.zeros_(module.project_out.bias)
