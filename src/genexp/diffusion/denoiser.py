"""The denoiser: a network, a schedule and a prediction seen as one function, the posterior mean of the clean image."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genexp.contracts import Schedule
from genexp.diffusion.prediction import Prediction
from genexp.diffusion.weighting import Weighting
from genexp.tensors import expand_to


class NetworkDenoiser:
    """E[x | x_t] by a network, and the loss that trains it.

    The network is called as network(x_t, t - 1, label), counting times from 0 as implementations of DDPM do, and with
    labels only if there are classes. Label `num_classes` stands for "no class": it has an embedding of its own and is
    what a call without labels uses. Everything but the network itself is computed in float32 or better.

    Args:
        network: Module (B, ...), (B,), (B,) or None -> (B, ...).
        schedule: Signal and noise levels at integer times.
        prediction: What the network's output means.
        weighting: Weight of the squared error of the clean image.
        image_shape: Shape of one image, (C, H, W), or of one point, (D,).
        num_classes: Number of classes, or None.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        prediction: Prediction,
        weighting: Weighting,
        image_shape: Sequence[int],
        num_classes: int | None = None,
    ) -> None:
        self.network, self.schedule = network, schedule
        self.prediction, self.weighting = prediction, weighting
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes

    @property
    def null_label(self) -> int | None:
        """The label of "no class", one past the last class; None without classes."""
        return self.num_classes

    def __call__(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """The posterior mean of the clean image.

        Args:
            x_t: Noisy images (B, *image_shape).
            t: Times (B,) from 1 to the schedule's last.
            label: Classes (B,), or None for the unconditional mean.

        Returns:
            Clean images (B, *image_shape), not clipped.
        """
        x_t = _full(x_t)
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, x_t.dtype))
        return self.prediction.to_sample(self._output(x_t, t, label), x_t, alpha, sigma)

    def loss(self, x: Tensor, t: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Weighted squared error of the clean image, mean over pixels: w(SNR) |E[x | x_t] - x|^2.

        It is evaluated as the error of the network's own target times the factor between the two, which stays exact
        where the clean image is far from determined.

        Args:
            x: Clean images (B, *image_shape) in [-1, 1].
            t: Times (B,) from 1 to the schedule's last.
            noise: Standard normal noise of the shape of `x`.
            label: Classes (B,), `null_label` where the class is left out; None for the unconditional loss.

        Returns:
            Losses (B,).
        """
        x, noise = _full(x), _full(noise)
        alpha, sigma = self.schedule(t, x.dtype)
        image_alpha, image_sigma = expand_to(alpha, x), expand_to(sigma, x)
        output = self._output(image_alpha * x + image_sigma * noise, t, label)
        error = output - self.prediction.target(x, noise, image_alpha, image_sigma)
        weight = self.weighting((alpha / sigma).square()) * self.prediction.scale(alpha, sigma).square()
        return weight * error.square().flatten(1).mean(1)

    def _output(self, x_t: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        if self.num_classes is None:
            if label is not None:
                raise ValueError("label must be None for a denoiser without classes, got a tensor")
        elif label is None:
            label = torch.full_like(t, self.num_classes)
        return self.network(x_t, t - 1, label).to(x_t.dtype)


def _full(image: Tensor) -> Tensor:
    return image.to(torch.promote_types(image.dtype, torch.float32))
