"""Features of videos, frame by frame."""

import hashlib

from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.sample_kinds import require_videos


class FrameFeatures:
    """The features of every frame of a video, one after the other: what is shown and when, and so how it moves.

    It has the name of the extractor that sees the frames, and a digest of its own.

    Args:
        extractor: Features of images.
        frames: Frames of a video, T.

    Raises:
        ValueError: `frames` is below 1.
    """

    def __init__(self, extractor: FeatureExtractor, frames: int) -> None:
        if frames < 1:
            raise ValueError(f"frames must be at least 1, got {frames}")
        self.extractor, self.frames = extractor, frames
        self.name, self.image_size, self.resize = extractor.name, extractor.image_size, extractor.resize
        self.dimensions = frames * extractor.dimensions
        self.digest = hashlib.sha256(f"{frames} frames {extractor.digest}".encode()).hexdigest()

    def __call__(self, image: Tensor) -> Tensor:
        """Videos (B, T, C, H, W) in [-1, 1] to features (B, T D).

        Raises:
            ValueError: these are no videos of so many frames.
        """
        require_videos(image, self.frames, exactly=True)
        return self.extractor(image.flatten(0, 1)).unflatten(0, image.shape[:2]).flatten(1)
