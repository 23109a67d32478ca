"""The denoiser: a network, a schedule and a prediction seen as one function, the posterior mean of the clean image."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Self

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.conditioning.estimate import ESTIMATE
from genexp.contracts import Batch, Noise, Schedule
from genexp.contracts.preparing import Encodes
from genexp.diffusion.bound import VariationalBound
from genexp.diffusion.fitting import require_leading_back, require_same_spread
from genexp.diffusion.objective import Guess, Objective, WeightedError
from genexp.diffusion.prediction import Prediction
from genexp.diffusion.remembering import Remembered
from genexp.diffusion.variance import output_and_share, require_outputs
from genexp.diffusion.weighting import Weighting
from genexp.tensors import IndexedNoise, expand_to, from_levels, in_double, to_levels


class NetworkDenoiser:
    """E[x | x_t] by a network, and the loss that trains it.

    The network is called as network(x_t, time, condition), with what the schedule says of the time (`embedded`) and the
    whole condition: what a call does not tell stands there as left out. Everything but the network itself is computed
    in float32 or better.

    Args:
        network: Module of (B, ...), (B,) and a condition to (B, ...).
        schedule: Signal and noise levels.
        prediction: What the network's output means.
        weighting: Weight of the squared error of the clean image.
        image_shape: Shape of one image, (C, H, W), or of one point, (D,).
        conditioning: What it is told beside the images; nothing by default.
        variance: Of the steps back, `fixed_small`, `fixed_large` or `learned_range`. For a learned one the network has
            twice the channels: the second half, from -1 to 1, is where its logarithm lies between small and large.
        objective: What is trained to be small.
        levels: Values that a pixel may have, for the likelihood; points have real values.

    Raises:
        ValueError: the prediction does not lead back to the clean image at every time of the schedule, or objective,
            variance and network do not fit each other, or the network reads other conditions.
    """

    exact = False
    encoded: Remembered | None = None

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        prediction: Prediction,
        weighting: Weighting,
        image_shape: Sequence[int],
        conditioning: Conditioning | None = None,
        variance: str = "fixed_small",
        objective: Objective = WeightedError(),
        levels: int | None = 256,
    ) -> None:
        require_leading_back(prediction, schedule)
        require_same_spread(prediction, weighting)
        self.levels = levels if len(image_shape) > 1 else None
        self.bound = VariationalBound(schedule, variance, self.levels)
        objective.require(schedule, variance, weighting)
        require_outputs(network, variance)
        self.variance, self.objective = variance, objective
        self.network, self.schedule = network, schedule
        self.prediction, self.weighting = prediction, weighting
        self.image_shape = tuple(image_shape)
        self.conditioning = conditioning or Conditioning()
        self.conditioning.require_read_by(network, "network")

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """The posterior mean of the clean image.

        Args:
            x_t: Noisy images (B, *image_shape).
            t: Times (B,) above 0, up to the schedule's last.
            condition: What the images are known to be; nothing for the unconditional mean.

        Returns:
            Clean images (B, *image_shape), not clipped.
        """
        return self.moments(x_t, t, condition)[0]

    def prepared(self) -> Self:
        """This denoiser for one drawing: what its network reads out of conditions alone is read once, see `Encodes`."""
        return self if self.encoded is not None or not self.attends else self.encoding(self.network)

    @property
    def attends(self) -> tuple[str, ...]:
        """Names of the conditions that its network reads in tokens."""
        return self.network.attends if isinstance(self.network, Encodes) else ()

    def encoding(self, encoder: Encodes) -> Self:
        """This denoiser with another encoder of the conditions that its network attends to."""
        ready = copy(self)
        ready.encoded = Remembered(encoder)
        return ready

    def with_network(self, network: nn.Module) -> Self:
        """This denoiser with another network of the same kind, such as an average of its own."""
        other = copy(self)
        other.network, other.encoded = network, None
        return other

    def moments(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> tuple[Tensor, Tensor | None]:
        """The posterior mean, and where the log-variance of a step back lies between the smallest and the largest.

        Both are (B, *image_shape); the second is None where variances are not learned.
        """
        x_t = _full(x_t)
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, x_t.dtype))
        output, share = self._output(self.prediction.input(x_t, alpha, sigma), t, condition)
        return self.prediction.to_sample(output, x_t, alpha, sigma), share

    def magnified(self, alpha: float, sigma: float) -> float:
        """How large the error of clean images is, at levels of signal and noise, where the output is wrong by 1."""
        levels = (torch.tensor(level, dtype=torch.float64) for level in (alpha, sigma))
        return self.prediction.scale(*levels).item()

    def loss(
        self,
        x: Tensor,
        t: Tensor,
        noise: Tensor,
        condition: Condition = UNCONDITIONAL,
        goal: Callable[[Tensor], Tensor] | None = None,
        reads: Tensor | None = None,
    ) -> Tensor:
        """The objective; by default the weighted squared error of the clean image: w(SNR) mean |E[x | x_t] - x|^2.

        That is evaluated as the error of the network's own target times the factor between the two, which stays exact
        where the clean image is far from determined.

        Args:
            x: Clean images (B, *image_shape) in [-1, 1].
            t: Times (B,) from the schedule's first to its last.
            noise: Standard normal noise of the shape of `x`.
            condition: What the images are known to be.
            goal: Noisy images to the clean ones that they are to stand for, in the place of `x`.
            reads: Which of them (B,) are shown what the network took them for in a first pass; None for none.

        Returns:
            Losses (B,).
        """
        x, noise = _full(x), _full(noise)
        alpha, sigma = self.schedule(t, x.dtype)
        image_alpha, image_sigma = expand_to(alpha, x), expand_to(sigma, x)
        x_t = image_alpha * x + image_sigma * noise
        if goal is not None:
            x = _full(goal(x_t))
            noise = (x_t - image_alpha * x) / image_sigma
        if reads is not None:
            condition = {**condition, ESTIMATE: self.estimate(x_t, t, condition) * expand_to(reads, x_t)}
        output, share = self._output(self.prediction.input(x_t, image_alpha, image_sigma), t, condition)
        error = output - self.prediction.target(x, noise, image_alpha, image_sigma)
        scale = self.prediction.scale(alpha, sigma)
        weight = self.weighting((alpha / sigma).square()) * scale.square()
        return self.objective(Guess(x, t, error, weight, expand_to(scale, x), share), self.bound)

    @torch.no_grad()
    def estimate(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """What noisy images (B, *image_shape) are taken for by a network that has answered nothing yet."""
        return self.conditioning.estimate.of(self(x_t, t, condition))

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The batch with images at the nearest levels, and numbers (B,) that all noise of the bound follows from."""
        image = batch["image"]
        if self.levels is not None:
            image = from_levels(to_levels(image, self.levels), self.levels)
        return {**batch, "image": image, "noise_seed": noise.normal(1).float().view(torch.int32).flatten()}

    def log_prob(self, batch: Batch) -> Tensor:
        """A lower bound (B,) in nats of log p of an observed batch, as conditioned; T evaluations of the network."""
        return -self.bound_terms(batch).sum(1)

    def bound_terms(self, batch: Batch) -> Tensor:
        """What an observed batch costs at most, (B, T + 1) in nats: the step to the data, t = 2 .. T, and the start.

        Images, whose values are known to lie there, are taken for the nearest in [-1, 1].
        """
        x, condition = _full(batch["image"]), self.conditioning.told(batch)
        noise, exact = IndexedNoise(0, batch["noise_seed"].tolist(), x.device), in_double(x)
        terms = []
        for index, time in enumerate(self.bound.times):
            t = time.to(x.device, None if self.schedule.discrete else x.dtype).expand(len(x))
            alpha, sigma = (expand_to(level, x) for level in self.schedule(t, x.dtype))
            x_0, share = self.moments(alpha * x + sigma * noise.normal(*x.shape[1:]), t, condition)
            x_0 = x_0 if self.levels is None else x_0.clamp(-1, 1)
            step = torch.full((len(x),), index, device=exact.device)
            share = None if share is None else in_double(share)
            terms.append(self.bound.term(exact, step, in_double(x_0) - exact, share))
        return torch.stack([*terms, self.bound.prior(exact)], 1)

    def _output(self, seen: Tensor, t: Tensor, condition: Condition) -> tuple[Tensor, Tensor | None]:
        whole = self.conditioning.whole(condition, seen.shape[0], seen.device)
        encoded = () if self.encoded is None else (self.encoded(whole),)
        output = self.network(seen, self.schedule.embedded(t), whole, *encoded).to(seen.dtype)
        return output_and_share(output, seen.shape[1], self.variance)


def _full(image: Tensor) -> Tensor:
    return image.to(torch.promote_types(image.dtype, torch.float32))
