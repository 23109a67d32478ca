"""Structural similarity of images over the area where its window fits, at one scale and at several."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

WINDOW = 11
SIGMA = 1.5
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales from the finest on."""


def structural_similarity(
    first: Tensor, second: Tensor, window: int = WINDOW, sigma: float = SIGMA
) -> tuple[Tensor, Tensor]:
    r"""SSIM and its contrast-structure factor, averaged over channels and over the positions where the window fits.

    (2 m_a m_b + C_1)(2 s_ab + C_2) / ((m_a^2 + m_b^2 + C_1)(s_a^2 + s_b^2 + C_2)) with Gaussian-weighted moments,
    C_1 = (0.01 L)^2 and C_2 = (0.03 L)^2; the second factor alone is the contrast-structure term. The means enter it,
    so images are brought from [-1, 1] to [0, 1], where L = 1.

    Reference: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
    Similarity" (2004).

    Args:
        first: (B, C, H, W) in [-1, 1].
        second: Likewise.
        window: Side of the window in pixels, odd.
        sigma: Standard deviation of its weights in pixels.

    Returns:
        Two tensors (B,).
    """
    a, b = (first.double() + 1) / 2, (second.double() + 1) / 2
    return _similarity(a, b, _weights(window, sigma))


def multi_scale_similarity(
    first: Tensor, second: Tensor, scales: int, window: int = WINDOW, sigma: float = SIGMA, least: float = 0.0
) -> Tensor:
    r"""MS-SSIM: \prod_{j<M} cs_j^{w_j} ssim_M^{w_M}, where scale j + 1 is scale j averaged over 2 x 2 pixels.

    The weights are the first `scales` of the paper's five, divided by their sum. Factors below `least` count as that.

    Reference: Wang, Simoncelli and Bovik, "Multi-Scale Structural Similarity for Image Quality Assessment" (2003).

    Args:
        first: (B, C, H, W) in [-1, 1].
        second: Likewise.
        scales: Number of scales M, 1 to 5.
        window: Side of the window in pixels, odd.
        sigma: Standard deviation of its weights in pixels.
        least: Smallest factor; above 0 where gradients are wanted, since powers below 1 have none at 0.

    Returns:
        (B,) in [0, 1].
    """
    a, b, weights = (first.double() + 1) / 2, (second.double() + 1) / 2, _weights(window, sigma)
    exponents = torch.tensor(SCALE_WEIGHTS[:scales], dtype=torch.float64, device=a.device)
    exponents = exponents / exponents.sum()
    product = torch.ones(len(a), dtype=torch.float64, device=a.device)
    for scale in range(scales):
        similarity, contrast = _similarity(a, b, weights)
        factor = similarity if scale == scales - 1 else contrast
        product = product * factor.clamp(min=least) ** exponents[scale]
        a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
    return product


def fitting_window(shape: tuple[int, ...], window: int | None) -> int:
    """The window to use on images of `shape` (C, H, W): 11 by default, or the largest odd one on smaller images.

    Raises:
        ValueError: `window` is even, not positive, or larger than the images.
    """
    side = min(shape[1:])
    if window is None:
        return min(WINDOW, side - 1 + side % 2)
    if window < 1 or window % 2 == 0 or window > side:
        raise ValueError(f"window must be odd and at most the images' side of {side} pixels, got {window}")
    return window


def fitting_scales(shape: tuple[int, ...], window: int, scales: int | None) -> int:
    """The number of scales to use on images of `shape` (C, H, W): by default as many as leave room for the window.

    Raises:
        ValueError: `scales` is not within 1 to 5, or the coarsest image is smaller than the window.
    """
    side = min(shape[1:])
    most = max(count for count in range(1, len(SCALE_WEIGHTS) + 1) if count == 1 or side >> (count - 1) >= window)
    if scales is None:
        return most
    if not 1 <= scales <= most:
        raise ValueError(
            f"scales must lie in 1 to {most} for images of {side} pixels and window={window}, got {scales}"
        )
    return scales


def _similarity(a: Tensor, b: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    batch, channels = a.shape[:2]
    kernel = weights.to(a.device)

    def smooth(values: Tensor) -> Tensor:
        flat = values.reshape(batch * channels, 1, *values.shape[2:])
        return conv2d(conv2d(flat, kernel.reshape(1, 1, -1, 1)), kernel.reshape(1, 1, 1, -1))

    mean_a, mean_b = smooth(a), smooth(b)
    variance = smooth(a * a) - mean_a**2 + smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    contrast = (2 * covariance + 0.03**2) / (variance + 0.03**2)
    luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    return (luminance * contrast).reshape(batch, -1).mean(1), contrast.reshape(batch, -1).mean(1)


def _weights(window: int, sigma: float) -> Tensor:
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
    distance = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    weights = (-(distance**2) / (2 * sigma**2)).exp()
    return weights / weights.sum()
