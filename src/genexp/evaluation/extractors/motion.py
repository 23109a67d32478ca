"""How one bright shape on black moves through a video, and whether it stays what it is; no network."""

import hashlib

import torch
from torch import Tensor

from genexp.sample_kinds import require_videos

FAINT = 0.1
"""Light below this share of white is ground: what a model leaves there would draw every centre to the middle."""

_LEAST = 1e-6


def centres(video: Tensor) -> Tensor:
    """The centre of light (B, T, 2) of every frame as x and y in pixels; where there is no light, the middle.

    Args:
        video: Videos (B, T, C, H, W) in [-1, 1], black at -1.
    """
    return _moments(_light(video))[0]


class Motion:
    """Seven numbers of a video of one bright shape on black, whatever its length.

    The centre of light of every frame is held against steady motion on a straight line, fitted by least squares: its
    `speed` in pixels a frame, and the root mean square distance of the centres from it, in all (`error`), along the
    line (`jerk`, uneven speed) and across it (`bend`), in pixels. Of its brightest pixel (`brightness`), the side of a
    square that has all light at that level (`size`), and the area of that over the mean square distance of light from
    its centre along an axis (`shape`, 4 pi of a disc, 12 of a square), the standard deviation over the frames is told,
    as a share of their mean.

    Trap: a video of two shapes, or of a shape that leaves the picture, has centres all the same.
    """

    names = ("error", "jerk", "bend", "size", "brightness", "shape", "speed")
    name = "motion"
    image_size = None
    resize = "none"

    def __init__(self) -> None:
        self.dimensions = len(self.names)
        self.digest = hashlib.sha256(f"{self.names} above {FAINT}".encode()).hexdigest()

    def __call__(self, image: Tensor) -> Tensor:
        """Videos (B, T, C, H, W) in [-1, 1] to features (B, 7), in the order of `names`.

        Raises:
            ValueError: these are no videos of at least two frames.
        """
        require_videos(image, 2)
        centre, kept = _moments(_light(image))
        time = torch.arange(centre.shape[1], device=image.device, dtype=torch.float64)
        time = time - time.mean()
        velocity = (centre * time[:, None]).sum(1) / time.square().sum()  # (B, 2)
        off = centre - centre.mean(1, keepdim=True) - velocity[:, None] * time[:, None]
        speed = torch.linalg.vector_norm(velocity, dim=1)
        ahead = velocity / speed.clamp(min=_LEAST)[:, None]
        along = (off * ahead[:, None]).sum(2)
        across = off[..., 0] * ahead[:, None, 1] - off[..., 1] * ahead[:, None, 0]
        error = off.square().sum(2).mean(1).sqrt()
        jerk, bend = (each.square().mean(1).sqrt() for each in (along, across))
        change = kept.std(1, correction=0) / kept.mean(1).clamp(min=_LEAST)  # (B, 3)
        return torch.stack([error, jerk, bend, *change.unbind(1), speed], 1).float()


def _light(video: Tensor) -> Tensor:
    """Light (B, T, H, W) in [0, 1] above the ground, the mean over colours."""
    level = video.double().add(1).div(2).clamp(0, 1).mean(2)
    return torch.where(level > FAINT, level, 0.0)


def _moments(light: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (B, T, 2), and size, brightness and shape (B, T, 3) of what is lit."""
    height, width = light.shape[-2:]
    weight = light + _LEAST / (height * width)
    total = weight.sum((2, 3))
    places = [torch.arange(side, device=light.device, dtype=torch.float64) + 0.5 for side in (width, height)]
    lines = weight.sum(2), weight.sum(3)  # over rows, over columns
    middle = [(line * place).sum(2) / total for line, place in zip(lines, places, strict=True)]
    spread = [
        (line * (place - at[..., None]).square()).sum(2) / total
        for line, place, at in zip(lines, places, middle, strict=True)
    ]
    brightness = light.amax((2, 3))
    area = light.sum((2, 3)) / brightness.clamp(min=_LEAST)
    shape = area / (sum(spread) / 2).clamp(min=_LEAST)
    return torch.stack(middle, 2), torch.stack([area.sqrt(), brightness, shape], 2)
