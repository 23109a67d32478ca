"""Videos that go on from given frames, by a model that was not trained for it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.sampling.repaint import RePaint


@dataclass(frozen=True)
class Continued(RePaint):
    """Keep the last frames of a given video as the first ones, and draw what follows, by RePaint over frames.

    After every step the known frames are the noised given ones; jumps back let the others come to fit. At the end the
    known frames are the given ones exactly.

    References: Lugmayr et al., "RePaint" (2022), algorithm 1; Ho et al., "Video Diffusion Models" (2022), section 3.1,
    where known frames are put in the place of drawn ones in the same way (the replacement method).

    Args:
        jump_length: Steps of the sampler that are taken anew at a time, at least 1.
        resamplings: How often they are taken in all, at least 1; 1 goes straight down.
        frames: Last frames of the given video that are kept, at least 1.

    Raises:
        ValueError: a number is below 1.
    """

    jump_length: int = 5
    resamplings: int = 4
    frames: int = 2
    wants_mask = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frames < 1:
            raise ValueError(f"frames must be at least 1, got {self.frames}")

    def begun(self, given: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Given frames (N, frames, C, H, W) as videos (N, length, C, H, W), and which are known, (1, length, 1, 1, 1).

        Raises:
            ValueError: nothing would be left to draw.
        """
        if length <= self.frames:
            raise ValueError(f"frames must be below the {length} frames of a video, got {self.frames}")
        videos = given.new_zeros(len(given), length, *given.shape[2:])
        videos[:, : self.frames] = given
        return videos, (torch.arange(length) < self.frames).view(1, -1, 1, 1, 1)
