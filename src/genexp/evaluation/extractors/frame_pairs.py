"""Features of videos of any length, by their neighbouring frames."""

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.sample_kinds import require_videos


class FramePairs:
    """Mean and standard deviation, over the pairs of neighbouring frames, of the features of each pair.

    A pair is one image with the channels of both frames, the later behind the earlier: what is shown, and how it goes
    on. The deviation says how steadily that is so. The number of features does not depend on the number of frames, but
    their deviation does: compare videos of one length.

    It has the name of the extractor that sees the pairs, and a digest of its own.

    Args:
        extractor: Builds features of images of `channels` channels.
        channels: Channels of a frame; a pair has twice as many.
    """

    def __init__(self, extractor: Callable[..., FeatureExtractor], channels: int) -> None:
        self.extractor = extractor = extractor(channels=2 * channels)
        self.name, self.image_size, self.resize = extractor.name, extractor.image_size, extractor.resize
        self.dimensions = 2 * extractor.dimensions
        self.digest = hashlib.sha256(f"pairs of frames {extractor.digest}".encode()).hexdigest()

    def __call__(self, image: Tensor) -> Tensor:
        """Videos (B, T, C, H, W) in [-1, 1] to features (B, 2 D).

        Raises:
            ValueError: these are no videos of at least two frames.
        """
        require_videos(image, 2)
        pairs = torch.cat([image[:, :-1], image[:, 1:]], 2)
        found = self.extractor(pairs.flatten(0, 1)).unflatten(0, pairs.shape[:2])
        return torch.cat([found.mean(1), found.std(1, correction=0)], 1)
