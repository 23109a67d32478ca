"""Self-attention over the pixels of a feature map."""

from torch import Tensor, nn
from torch.nn import functional as F

from genexp.networks.blocks import group_norm


class PixelAttention(nn.Module):
    """Multi-head self-attention among all pixels, normalised first and added to its input.

    y = x + project(softmax(q k^T / sqrt(D)) v) with D = channels / heads.

    Rows of `project_in` hold all queries, then all keys, then all values; within each, one head after the other.

    Reference: Vaswani et al., "Attention Is All You Need" (2017).

    Args:
        channels: Channels of input and output.
        heads: Number of heads; must divide `channels`.
        groups: Largest number of normalisation groups.

    Raises:
        ValueError: `heads` does not divide `channels`.
    """

    def __init__(self, channels: int, heads: int = 1, groups: int = 32) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"heads must divide the {channels} channels, got {heads}")
        self.heads = heads
        self.norm = group_norm(channels, groups)
        self.project_in = nn.Linear(channels, 3 * channels)
        self.project_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, H, W) to features of the same shape."""
        pixels = self.norm(x).flatten(2).transpose(1, 2)  # (B, H W, C)
        q, k, v = self.project_in(pixels).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return x + self.project_out(mixed).transpose(1, 2).unflatten(2, x.shape[2:])
