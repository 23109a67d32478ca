"""A network of images on short videos."""

from torch import Tensor, nn


class StackedFrames(nn.Module):
    """Shows all frames of a video to a network of images at once, as further channels of one image.

    Args:
        network: Maps images (B, T C, H, W), times (B,) and labels (B,) or None to images of the same shape.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, video: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Noisy videos (B, T, C, H, W) at times (B,) to what the network predicts, of the same shape."""
        return self.network(video.flatten(1, 2), t, label).view_as(video)
