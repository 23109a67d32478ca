"""A network of images on short videos."""

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition, ReadsConditions


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
