"""What is left of a video when only its beginning is known."""

from dataclasses import dataclass

from torch import Tensor

from genexp.conditioning.chance import Chance
from genexp.sample_kinds import SampleKind


@dataclass(frozen=True)
class FirstFrames:
    """All frames of a video behind the first ones are lost.

    Reference: Ho et al., "Video Diffusion Models" (2022), section 3.1, whose model learns all frames together and is
    given some of them when it draws; here it learns what follows given ones.

    Args:
        frames: Frames that are known, at least 1 and fewer than a video has. One says what moves and where it is, two
            say where it goes.

    Raises:
        ValueError: `frames` is below 1, or when called a video has no more.
    """

    frames: int = 1

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"frames must be at least 1, got {self.frames}")

    def __call__(self, image: Tensor, chance: Chance | None = None) -> Tensor:
        """Videos (B, T, C, H, W) to their first frames (B, frames, C, H, W).

        Raises:
            ValueError: these are no videos of more frames.
        """
        if not SampleKind.VIDEO.has(image) or image.shape[1] <= self.frames:
            raise ValueError(
                f"frames must be fewer than those of a video (T, C, H, W), got {self.frames} of {list(image.shape[1:])}"
            )
        return image[:, : self.frames]
