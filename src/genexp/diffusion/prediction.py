"""What the network of a diffusion model predicts, and how that becomes the clean image.

All tensors have the shape of the images; `alpha` and `sigma` broadcast against them.
"""

from typing import Protocol

import torch
from torch import Tensor


class Prediction(Protocol):
    """One of the equivalent targets of a denoising network; to be inherited from, for what it gives itself."""

    def input(self, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """What the network sees of the noisy image: the image itself, unless a prediction scales it."""
        return x_t

    def target(self, x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The value that the network should give for alpha x + sigma noise."""
        ...

    def to_sample(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The clean image that the network's output stands for."""
        ...

    def scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The error of the clean image over the error of the output."""
        ...


class Epsilon(Prediction):
    """The noise: x = (x_t - sigma eps) / alpha.

    Reference: Ho et al., "Denoising Diffusion Probabilistic Models" (2020).
    """

    def target(self, x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The noise itself."""
        return noise

    def to_sample(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """(x_t - sigma eps) / alpha."""
        return (x_t - sigma * output) / alpha

    def scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """sigma / alpha."""
        return sigma / alpha


class Sample(Prediction):
    """The clean image itself."""

    def target(self, x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The clean image."""
        return x

    def to_sample(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The output."""
        return output

    def scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """One."""
        return torch.ones_like(alpha)


class Velocity(Prediction):
    """v = alpha eps - sigma x, under alpha^2 + sigma^2 = 1: x = alpha x_t - sigma v.

    Reference: Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models" (2022).
    """

    def target(self, x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """alpha eps - sigma x."""
        return alpha * noise - sigma * x

    def to_sample(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """alpha x_t - sigma v."""
        return alpha * x_t - sigma * output

    def scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """sigma."""
        return sigma


class Flow(Prediction):
    """eps - x, the velocity from the image to the noise: x = (x_t - sigma v) / (alpha + sigma), on any schedule.

    Reference: Liu et al., "Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow" (2023),
    equation 1; there from noise to image, of the other sign.
    """

    def target(self, x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """eps - x."""
        return noise - x

    def to_sample(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """(x_t - sigma v) / (alpha + sigma)."""
        return (x_t - sigma * output) / (alpha + sigma)

    def scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """sigma / (alpha + sigma)."""
        return sigma / (alpha + sigma)


class Preconditioned(Prediction):
    """The clean image but for a share of the noisy one, scaled: x = c_skip x_t + c_out F(c_in x_t).

    With the spread d of data and total = sigma^2 + alpha^2 d^2: c_skip = alpha d^2 / total, c_in = 1 / sqrt(total) and
    c_out = sigma d / sqrt(total), on any schedule. What the network is told of the time, the paper's c_noise, the
    schedule says (`embedded`).

    Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), equation 7 and
    table 1, for alpha = 1.

    Args:
        data_std: Standard deviation of the data, above 0.

    Raises:
        ValueError: `data_std` is not above 0.
    """

    def __init__(self, data_std: float = 0.5) -> None:
        self.data_std = require_positive("data_std", data_std)

    def input(self, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """c_in x_t."""
        return x_t / self._size(alpha, sigma)

    def target(self, x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """(x - c_skip x_t) / c_out, which is (sigma x / d - alpha d eps) / sqrt(total)."""
        return (sigma / self.data_std * x - alpha * self.data_std * noise) / self._size(alpha, sigma)

    def to_sample(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """c_skip x_t + c_out F."""
        kept = alpha * (self.data_std / self._size(alpha, sigma)).square()
        return kept * x_t + self.scale(alpha, sigma) * output

    def scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """c_out."""
        return sigma * self.data_std / self._size(alpha, sigma)

    def _size(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return (sigma.square() + (self.data_std * alpha).square()).sqrt()


class Consistent(Preconditioned):
    """As `Preconditioned`, but the image itself at the noise level e: x = c_skip y + c_out F(c_in x_t).

    With y = x_t / alpha and n = sigma / alpha: c_skip = d^2 / ((n - e)^2 + d^2), which is 1 at e, and c_out =
    d (n - e) / sqrt(n^2 + d^2), which is 0 there.

    Reference: Song et al., "Consistency Models" (2023), appendix C.

    Args:
        data_std: Standard deviation d of the data, above 0.
        lowest: The noise level e over the signal, that of the schedule's first time; above 0.

    Raises:
        ValueError: an argument is not above 0.
    """

    def __init__(self, data_std: float = 0.5, lowest: float = 0.002) -> None:
        super().__init__(data_std)
        self.lowest = require_positive("lowest", lowest)

    def target(self, x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """(x - c_skip y) / c_out with y = x + n noise; infinite at the lowest level."""
        beyond = sigma / alpha - self.lowest
        kept = self.data_std**2 / (beyond.square() + self.data_std**2)
        left = beyond.square() / (beyond.square() + self.data_std**2)  # 1 - kept, without its rounding
        return (left * x - kept * sigma / alpha * noise) / self.scale(alpha, sigma)

    def to_sample(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """c_skip y + c_out F."""
        beyond = sigma / alpha - self.lowest
        kept = self.data_std**2 / (beyond.square() + self.data_std**2)
        return kept * x_t / alpha + self.scale(alpha, sigma) * output

    def scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """c_out."""
        level = sigma / alpha
        return self.data_std * (level - self.lowest) / (level.square() + self.data_std**2).sqrt()


class Bounded(Prediction):
    """What another prediction says, but the noisy image itself where there is no noise: x = c_skip y + c_out x'.

    With y = x_t / alpha, n = sigma / alpha and x' the clean image by `inside`: c_skip = e^2 / (n^2 + e^2), which is 1
    without noise, and c_out = n / sqrt(n^2 + e^2), which is 0 there. Already at a few times e it is x' alone.

    Reference: Luo et al., "Latent Consistency Models" (2023), equation 9 and appendix F, where n / e is 20 times the
    integer time; here noise levels stand in its place, so that it is of any schedule.

    Args:
        inside: What the network predicts.
        edge: The noise level e over the signal, above 0.

    Raises:
        ValueError: `edge` is not above 0.
    """

    def __init__(self, inside: Prediction, edge: float = 0.001) -> None:
        self.inside, self.edge = inside, require_positive("edge", edge)

    def input(self, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """That of `inside`."""
        return self.inside.input(x_t, alpha, sigma)

    def target(self, x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """That of `inside` for the image x' = (x - c_skip y) / c_out in the same noisy one; none without noise."""
        x_t = alpha * x + sigma * noise
        within = (x - self._kept(x_t, alpha, sigma)) / self._share(alpha, sigma)
        return self.inside.target(within, (x_t - alpha * within) / sigma, alpha, sigma)

    def to_sample(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """c_skip y + c_out x'."""
        within = self.inside.to_sample(output, x_t, alpha, sigma)
        return self._kept(x_t, alpha, sigma) + self._share(alpha, sigma) * within

    def scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """c_out times that of `inside`."""
        return self._share(alpha, sigma) * self.inside.scale(alpha, sigma)

    def _kept(self, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        edge = self.edge**2
        return edge * alpha / (sigma.square() + edge * alpha.square()) * x_t  # 1 to the last bit without noise

    def _share(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return sigma / (sigma.square() + (self.edge * alpha).square()).sqrt()


def require_positive(name: str, value: float) -> float:
    """The value of the argument `name`.

    Raises:
        ValueError: it is not above 0.
    """
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value}")
    return value
