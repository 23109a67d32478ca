"""What networks of videos share: attention across frames, frames beside the noisy ones, frames as channels."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition, ReadsConditions
from genexp.conditioning.estimate import ESTIMATE
from genexp.geometry import fitted
from genexp.networks.attention import PixelAttention, self_attention
from genexp.networks.blocks import initialise
from genexp.networks.embeddings import sinusoidal
from genexp.networks.told import ToldNetwork
from genexp.sample_kinds import SampleKind


class StackedFrames(nn.Module):
    """Shows all frames of a video to a network of images at once, as further channels of one image.

    Args:
        network: Maps images (B, T C, H, W), times (B,) and a condition to images of the same shape.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions that the network of images reads."""
        return self.network.reads if isinstance(self.network, ReadsConditions) else ()

    def forward(self, video: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Noisy videos (B, T, C, H, W) at times (B,) to what the network predicts, of the same shape."""
        return self.network(video.flatten(1, 2), t, condition).view_as(video)


class TemporalAttention(PixelAttention):
    """Multi-head self-attention of every pixel among the frames of its video, normalised first and added to its input.

    The number of a frame is told by sines and cosines, so that videos may have any number of frames. The last layer
    starts at zero: until it has learned something, frames know nothing of each other.

    Reference: Ho et al., "Video Diffusion Models" (2022), section 3; their positions are relative.

    Args:
        channels: Channels of input and output, even and at least 4.
        heads: Number of heads; must divide `channels`.
        groups: Largest number of normalisation groups.

    Raises:
        ValueError: `heads` does not divide `channels`.
    """

    def __init__(self, channels: int, heads: int = 1, groups: int = 32) -> None:
        super().__init__(channels, heads, groups)
        initialise(self.project_in)
        nn.init.zeros_(self.project_out.weight)
        nn.init.zeros_(self.project_out.bias)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Features (B T, C, H, W), the T = `frames` frames of a video in a row, to features of that shape."""
        tokens = self.norm(x).unflatten(0, (-1, frames)).permute(0, 3, 4, 1, 2)  # (B, H, W, T, C)
        places = sinusoidal(torch.arange(frames, device=x.device), x.shape[1]).to(tokens.dtype)
        mixed = self.project_out(self_attention(self.project_in(tokens + places), self.heads))
        return x + mixed.permute(0, 3, 4, 1, 2).flatten(0, 1)


class ToldVideo(ToldNetwork):
    """A told network of videos (B, T, C, H, W)."""

    def seen(self, x_t: Tensor, condition: Condition) -> Tensor:
        """Noisy videos (B, T, C, H, W), and as further channels of every frame what is beside it.

        Given frames (B, K, C, h, w) are beside the first K, with a channel that is 1 there and 0 behind them; a given
        picture (B, C, h, w) is beside every frame; then comes the network's last answer.

        Raises:
            ValueError: more frames are given than there are.
        """
        beside = [_beside(name, condition[name].to(x_t.dtype), x_t) for name in self.beside]
        estimate = [condition[ESTIMATE].to(x_t.dtype)] if self.self_conditioned else []
        return torch.cat([x_t, *beside, *estimate], 2)


def _beside(name: str, rows: Tensor, video: Tensor) -> Tensor:
    """Pictures or first frames as channels (B, T, C', H, W) beside a video."""
    frames, size = video.shape[1], tuple(video.shape[-2:])
    if SampleKind.IMAGES.has(rows):
        return fitted(rows, size)[:, None].expand(-1, frames, -1, -1, -1)
    if rows.shape[1] > frames:
        raise ValueError(f"{name} must have at most the {frames} frames of a video, got {rows.shape[1]}")
    found = fitted(rows.flatten(0, 1), size).unflatten(0, rows.shape[:2])
    there = torch.cat([found, torch.ones_like(found[:, :, :1])], 2)
    return F.pad(there, (0, 0, 0, 0, 0, 0, 0, frames - rows.shape[1]))
