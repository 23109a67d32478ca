"""Keeping the colours of one image in another: by matched statistics, or by painting in luminance alone.

Reference: Gatys, Bethge, Hertzmann and Shechtman, "Preserving Color in Neural Artistic Style Transfer" (2016).
"""

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luminance (ITU-R BT.601), which is the Y of YIQ."""
_STUDIO = (65.481, 128.553, 24.966)
"""Levels of 8 bits that full red, green and blue add to the 16 of black, in the studio range of ITU-R BT.601."""


def matched(image: Tensor, like: Tensor, eps: float = 1e-5) -> Tensor:
    """An image whose pixels have the mean colour and the covariance of colours of another.

    x' = A (x - m) + m', with A = S'^(1/2) S^(-1/2) of the symmetric roots: the covariances are those of pixels, divided
    by their number, so the sizes of the two do not matter. Directions of colour in which `image` has a variance below
    `eps` of its largest, such as all chroma of a grey one, are not stretched beyond what that variance allows.

    Args:
        image: (B, 3, H, W).
        like: (B, 3, h, w), which gives the colours.
        eps: Least variance, in units of the largest.

    Returns:
        (B, 3, H, W), which may leave the range of `image`.
    """
    mean, covariance = _moments(image)
    wanted_mean, wanted = _moments(like)
    turn = _power(wanted, 0.5, 0.0) @ _power(covariance, -0.5, eps)
    pixels = image.double().flatten(2) - mean
    return (turn @ pixels + wanted_mean).view_as(image).to(image.dtype)


def luminance(image: Tensor) -> Tensor:
    """Luminance (B, 1, H, W) of RGB images (B, 3, H, W), in their range."""
    return (image * image.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def studio_luminance(image: Tensor) -> Tensor:
    """Luminance (B, 1, H, W) in whole levels from 16 to 235, float64, as Matlab's rgb2ycbcr gives it.

    Args:
        image: RGB or grey images (B, 3 or 1, H, W) in [-1, 1]; grey is `luminance`, over the full range.
    """
    share = image.double().clamp(-1, 1).add(1).div(2)
    if image.shape[1] == 1:
        return (16 + 219 * share).round()
    return (16 + (share * share.new_tensor(_STUDIO).view(1, 3, 1, 1)).sum(1, keepdim=True)).round()


def matched_luminance(image: Tensor, like: Tensor) -> Tensor:
    """The luminance (B, 1, H, W) of an image (B, 3, H, W) with mean and deviation of that of another (B, 3, h, w)."""
    ours, theirs = luminance(image), luminance(like)
    deviation = ours.std((2, 3), correction=0, keepdim=True)
    scale = theirs.std((2, 3), correction=0, keepdim=True) / deviation.clamp(min=1e-6)
    return (ours - ours.mean((2, 3), keepdim=True)) * scale + theirs.mean((2, 3), keepdim=True)


def with_luminance(image: Tensor, light: Tensor) -> Tensor:
    """An image (B, 3, H, W) with another luminance (B, 1, H, W): in YIQ its Y is replaced and I and Q stay."""
    return image + (light - luminance(image))


def _moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, 3, 1) and covariance (B, 3, 3) of the pixels, in double precision."""
    pixels = image.double().flatten(2)
    mean = pixels.mean(2, keepdim=True)
    centred = pixels - mean
    return mean, centred @ centred.transpose(1, 2) / pixels.shape[2]


def _power(covariance: Tensor, power: float, eps: float) -> Tensor:
    """A power of symmetric matrices (B, 3, 3) whose eigenvalues are raised to `eps` of the largest."""
    values, vectors = torch.linalg.eigh(covariance)
    least = (values[..., -1:] * eps).clamp(min=1e-12)
    powers = values.clamp(min=0) ** power if power > 0 else torch.maximum(values, least) ** power
    return vectors * powers[..., None, :] @ vectors.transpose(-2, -1)
