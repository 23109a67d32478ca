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

    The network is called as network(x_t, told, label), told what the schedule says of the time (`embedded`), and with
    labels only if there are classes. Label `num_classes` stands for "no class": it has an embedding of its own and is
    what a call without labels uses. Everything but the network itself is computed in float32 or better.

    Args:
        network: Module (B, ...), (B,), (B,) or None -> (B, ...).
        schedule: Signal and noise levels.
        prediction: What the network's output means.
        weighting: Weight of the squared error of the clean image.
        image_shape: Shape of one image, (C, H, W), or of one point, (D,).
        num_classes: Number of classes, or None.

    Raises:
        ValueError: the prediction does not lead back to the clean image at every time of the schedule.
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
        _require_fitting(prediction, schedule)
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
            t: Times (B,) above 0, up to the schedule's last.
            label: Classes (B,), or None for the unconditional mean.

        Returns:
            Clean images (B, *image_shape), not clipped.
        """
        x_t = _full(x_t)
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, x_t.dtype))
        output = self._output(self.prediction.input(x_t, alpha, sigma), t, label)
        return self.prediction.to_sample(output, x_t, alpha, sigma)

    def loss(self, x: Tensor, t: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Weighted squared error of the clean image, mean over pixels: w(SNR) |E[x | x_t] - x|^2.

        It is evaluated as the error of the network's own target times the factor between the two, which stays exact
        where the clean image is far from determined.

        Args:
            x: Clean images (B, *image_shape) in [-1, 1].
            t: Times (B,) from the schedule's first to its last.
            noise: Standard normal noise of the shape of `x`.
            label: Classes (B,), `null_label` where the class is left out; None for the unconditional loss.

        Returns:
            Losses (B,).
        """
        x, noise = _full(x), _full(noise)
        alpha, sigma = self.schedule(t, x.dtype)
        image_alpha, image_sigma = expand_to(alpha, x), expand_to(sigma, x)
        x_t = image_alpha * x + image_sigma * noise
        output = self._output(self.prediction.input(x_t, image_alpha, image_sigma), t, label)
        error = output - self.prediction.target(x, noise, image_alpha, image_sigma)
        weight = self.weighting((alpha / sigma).square()) * self.prediction.scale(alpha, sigma).square()
        return weight * error.square().flatten(1).mean(1)

    def _output(self, seen: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        if self.num_classes is None:
            if label is not None:
                raise ValueError("label must be None for a denoiser without classes, got a tensor")
        elif label is None:
            label = torch.full_like(t, self.num_classes, dtype=torch.int64)
        return self.network(seen, self.schedule.embedded(t), label).to(seen.dtype)


def _require_fitting(prediction: Prediction, schedule: Schedule) -> None:
    """Check with one pixel that the target of a noisy image leads back to the clean one, as at pure noise some do not.

    Raises:
        ValueError: it does not.
    """
    first, last = schedule.first, schedule.last
    middle = (first + last) // 2 if schedule.discrete else (first + last) / 2
    t = torch.tensor([middle, last, first], dtype=torch.int64 if schedule.discrete else torch.float64)
    alpha, sigma = schedule(t, torch.float64)
    target = prediction.target(torch.ones_like(alpha), -torch.ones_like(alpha), alpha, sigma)
    found = prediction.to_sample(target, alpha - sigma, alpha, sigma)
    for time, value in zip(t.tolist(), found.tolist(), strict=True):
        if not abs(value - 1) < 1e-6:
            raise ValueError(
                f"prediction must lead back to the clean image at every time of the schedule, got "
                f"{type(prediction).__name__} with {type(schedule).__name__}: {value:.3g} for 1 at time {time:g}"
            )


def _full(image: Tensor) -> Tensor:
    return image.to(torch.promote_types(image.dtype, torch.float32))
