"""What features of videos ask of what they are given."""

from torch import Tensor


def require_videos(image: Tensor) -> None:
    """Raise ValueError unless these are videos (B, T, C, H, W) of at least two frames."""
    if image.ndim != 5 or image.shape[1] < 2:
        raise ValueError(f"image must be videos of at least 2 frames, (T, C, H, W), got shape {list(image.shape[1:])}")
