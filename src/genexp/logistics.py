"""Discretised logistic distributions and their mixtures: exact probabilities of evenly spread levels.

References: Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow" (2016), for one logistic;
Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other
Modifications" (2017), section 2.1 and 2.2, for mixtures and for the channels of a pixel.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from genexp.tensors import expand_to, in_float32

LEAST_LOG_SCALE = -7.0
"""Scales stay above e^-7, a quarter of the distance between 256 levels in [-1, 1]."""


def log_probability(level: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """log P(level) of a logistic distribution over the real line, cut half way between `levels` values in [-1, 1].

    With a and b = a - d the standardised upper and lower edge of a level, P = sigmoid(a) - sigmoid(b) =
    sigmoid(a) sigmoid(-b) (1 - exp(-d)), so that nothing is subtracted and no tail underflows. The first level has all
    that lies below it and the last all above: probabilities sum to one.

    Args:
        level: Levels, int64 in [0, levels).
        mean: Means in units of the image range [-1, 1]; broadcasts against `level`.
        log_scale: Logarithms of the scales s; the standard deviation is s pi / sqrt(3). Those below `LEAST_LOG_SCALE`
            are taken as that.
        levels: How many values there are, at least 2.

    Returns:
        Nats, of the broadcast shape, in float32 or better.
    """
    mean, log_scale = in_float32(mean), in_float32(log_scale).clamp(min=LEAST_LOG_SCALE)
    above, below = ((_value(level + side, levels, mean.dtype) - mean) * (-log_scale).exp() for side in (0.5, -0.5))
    between = torch.log(-torch.expm1(-2 / (levels - 1) * (-log_scale).exp()))
    first, last = level == 0, level == levels - 1
    inner = between.where(~(first | last), 0)
    return logsigmoid(above).where(~last, 0) + logsigmoid(-below).where(~first, 0) + inner


def numbers_of(channels: int, mixtures: int) -> int:
    """Parameters of a pixel: of every component a weight, a mean and a scale a channel, a coefficient a pair of them.

    Raises:
        ValueError: a number is below 1.
    """
    for name, value in (("channels", channels), ("mixtures", mixtures)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    return mixtures * (1 + 2 * channels + channels * (channels - 1) // 2)


def initial_numbers(channels: int, mixtures: int) -> Tensor:
    """Parameters (numbers_of(channels, mixtures),) to begin with: equal weights, means evenly over the range.

    Components that begin as equals would stay equal.
    """
    numbers = torch.zeros(numbers_of(channels, mixtures))
    each = numbers[mixtures:].view(mixtures, -1)
    each[:, :channels] = ((2 * torch.arange(mixtures) + 1) / mixtures - 1)[:, None]
    each[:, channels : 2 * channels] = -math.log(mixtures)
    return numbers


@dataclass(frozen=True)
class LogisticMixture:
    """Mixtures over the levels of pixels of C channels, which follow one another.

    A pixel has one component for all of its channels. In component k the mean of channel c is
    mean_kc + sum_{d < c} coefficient_kcd x_d, with x_d the value of channel d in [-1, 1].

    Args:
        log_weights: (B, K, *places), normalised over K.
        means: (B, K, C, *places).
        log_scales: (B, K, C, *places).
        coefficients: (B, K, C (C - 1) / 2, *places) in (-1, 1): of channel 1 on 0, of 2 on 0, of 2 on 1, ...
        levels: Values that a channel may have.
    """

    log_weights: Tensor
    means: Tensor
    log_scales: Tensor
    coefficients: Tensor
    levels: int

    @classmethod
    def of(cls, parameters: Tensor, channels: int, mixtures: int, levels: int) -> "LogisticMixture":
        """From unbounded numbers (B, numbers_of(channels, mixtures), *places).

        Raises:
            ValueError: they are not so many.
        """
        if parameters.shape[1] != numbers_of(channels, mixtures):
            raise ValueError(
                f"parameters must be {numbers_of(channels, mixtures)} a pixel for {mixtures} mixtures of {channels} "
                f"channels, got {parameters.shape[1]}"
            )
        weights, further = in_float32(parameters).tensor_split([mixtures], dim=1)
        each = further.unflatten(1, (mixtures, -1))
        means, log_scales, coefficients = each.tensor_split([channels, 2 * channels], dim=2)
        return cls(weights.log_softmax(1), means, log_scales, coefficients.tanh(), levels)

    def log_prob(self, level: Tensor) -> Tensor:
        """Nats (B, *places) of pixels whose channels are at levels (B, C, *places), int64."""
        return torch.logsumexp(self._joint(level, level.shape[1]), dim=1)

    def conditional(self, level: Tensor, channel: int) -> Tensor:
        """Nats (B, levels, *places) of every level of a channel, given the levels (B, C, *places) of those before it.

        What stands in `level` for this channel and later ones is not looked at.
        """
        before = self._joint(level, channel).log_softmax(1)  # which component, given the channels before
        every = expand_to(torch.arange(self.levels, device=level.device), level[0])
        mean, log_scale = (each[:, :, None] for each in self._component(level, channel))
        return torch.logsumexp(before[:, :, None] + log_probability(every, mean, log_scale, self.levels), dim=1)

    def mean(self) -> Tensor:
        """Means (B, C, *places) in [-1, 1] of the distributions before they are cut at the ends of the range."""
        found: list[Tensor] = []
        for channel in range(self.means.shape[2]):
            of_component = self.means[:, :, channel]
            for pair, other in self._pairs(channel):
                of_component = of_component + self.coefficients[:, :, pair] * found[other]
            found.append(of_component)
        weights = self.log_weights.exp()
        return torch.stack([(weights * each).sum(1) for each in found], dim=1).clamp(-1, 1)

    def _joint(self, level: Tensor, channels: int) -> Tensor:
        """log P(component, levels of the first channels), (B, K, *places)."""
        total = self.log_weights
        for channel in range(channels):
            mean, log_scale = self._component(level, channel)
            total = total + log_probability(level[:, None, channel], mean, log_scale, self.levels)
        return total

    def _component(self, level: Tensor, channel: int) -> tuple[Tensor, Tensor]:
        """Mean and log-scale (B, K, *places) of a channel in every component, given the channels before it."""
        mean = self.means[:, :, channel]
        for pair, other in self._pairs(channel):
            mean = mean + self.coefficients[:, :, pair] * _value(level[:, None, other], self.levels, mean.dtype)
        return mean, self.log_scales[:, :, channel]

    @staticmethod
    def _pairs(channel: int) -> list[tuple[int, int]]:
        """Where the coefficients of a channel stand, each with the channel that it is on."""
        first = channel * (channel - 1) // 2
        return [(first + other, other) for other in range(channel)]


def _value(level: Tensor, levels: int, dtype: torch.dtype) -> Tensor:
    """Where levels, or edges half way between them, lie in [-1, 1]; equal edges of two levels are equal numbers."""
    return level.to(dtype) * 2 / (levels - 1) - 1
