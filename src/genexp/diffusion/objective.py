"""What a denoiser is trained to make small."""

from typing import NamedTuple, Protocol

from torch import Tensor

from genexp.contracts import Schedule
from genexp.diffusion.bound import VariationalBound
from genexp.diffusion.prediction import require_positive
from genexp.diffusion.variance import LEARNED
from genexp.diffusion.weighting import UniformEpsilon, Weighting


class Guess(NamedTuple):
    """What a network said of noisy images, and what it should have said."""

    x: Tensor  # clean images (B, ...)
    t: Tensor  # times (B,)
    error: Tensor  # the network's output minus its target (B, ...)
    weight: Tensor  # of the squared error of the output (B,)
    scale: Tensor  # the error of the clean image over that of the output, (B, 1, ...)
    share: Tensor | None  # where between the smallest and the largest the log-variance is (B, ...)


class Objective(Protocol):
    """Losses (B,) of guesses."""

    bounds = False
    """Whether it bounds the likelihood, for which the noise of an image is drawn without looking at it."""

    def require(self, schedule: Schedule, variance: str, weighting: Weighting) -> None:
        """Refuse a schedule or a variance that it cannot train, or a weighting that it ignores, with a ValueError."""
        ...

    def __call__(self, guess: Guess, bound: VariationalBound) -> Tensor: ...


class WeightedError(Objective):
    """The squared error, by the weighting, mean over pixels.

    Reference: Ho et al., "Denoising Diffusion Probabilistic Models" (2020), equation 14, for the weighting `simple`.
    """

    def require(self, schedule: Schedule, variance: str, weighting: Weighting) -> None:
        """Refuse a variance to be learned.

        Raises:
            ValueError: it is.
        """
        _require_given(variance, self)

    def __call__(self, guess: Guess, bound: VariationalBound) -> Tensor:
        return guess.weight * guess.error.square().flatten(1).mean(1)


class PseudoHuber(Objective):
    """sqrt(|e|^2 + c^2) - c, with |e|^2 the squared error by the weighting, summed over the D pixels, c = f sqrt(D).

    It is a squared error where that is small against c^2, and grows as the error itself beyond.

    Reference: Song and Dhariwal, "Improved Techniques for Training Consistency Models" (2024), section 3.3, of the
    clean image's error (weighting `uniform_sample`).

    Args:
        factor: f, above 0.

    Raises:
        ValueError: `factor` is not above 0.
    """

    def __init__(self, factor: float = 0.00054) -> None:
        self.factor = require_positive("factor", factor)

    def require(self, schedule: Schedule, variance: str, weighting: Weighting) -> None:
        """Refuse a variance to be learned.

        Raises:
            ValueError: it is.
        """
        _require_given(variance, self)

    def __call__(self, guess: Guess, bound: VariationalBound) -> Tensor:
        error = guess.error.flatten(1)
        c = self.factor * error.shape[1] ** 0.5
        return (guess.weight * error.square().sum(1) + c**2).sqrt() - c


class Bound(Objective):
    """The variational bound, T times its term at a random time, in bits of a pixel value; of integer times.

    With a fixed small variance it is a weighting, T (SNR(t - 1) - SNR(t)) / 2 of the clean image's squared error, but
    for the step to the data.

    Reference: Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), section 3.3, L_vlb.
    """

    bounds = True

    def require(self, schedule: Schedule, variance: str, weighting: Weighting) -> None:
        """Refuse real times, and a weighting beside the weights of the bound.

        Raises:
            ValueError: times are real, or the weighting is another than that of every model.
        """
        _require_discrete(self, schedule)
        if not isinstance(weighting, UniformEpsilon):
            raise ValueError(
                "weighting must be simple with objective=bound, whose terms have weights of their own and would ignore "
                f"it, got {type(weighting).__name__}; objective=hybrid has both"
            )

    def __call__(self, guess: Guess, bound: VariationalBound) -> Tensor:
        nats = bound.term(guess.x, guess.t - 1, guess.scale * guess.error, guess.share)
        return len(bound.times) * bound.bits(nats, guess.x)


class Hybrid(Objective):
    """The weighted error plus a share of the bound, in which the image that is predicted counts as given.

    The bound trains the variances alone; of integer times.

    Reference: Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), section 3.1, L_hybrid.

    Args:
        share: Of the bound in bits of a pixel value, at least 0.

    Raises:
        ValueError: `share` is below 0.
    """

    bounds = True

    def __init__(self, share: float = 0.001) -> None:
        if share < 0:
            raise ValueError(f"share must be at least 0, got {share}")
        self.share, self._error, self._bound = share, WeightedError(), Bound()

    def require(self, schedule: Schedule, variance: str, weighting: Weighting) -> None:
        """Refuse real times.

        Raises:
            ValueError: times are real.
        """
        _require_discrete(self, schedule)

    def __call__(self, guess: Guess, bound: VariationalBound) -> Tensor:
        given = guess._replace(error=guess.error.detach())
        return self._error(guess, bound) + self.share * self._bound(given, bound)


def _require_discrete(objective: Objective, schedule: Schedule) -> None:
    if not schedule.discrete:
        raise ValueError(
            f"objective must be weighted_error for a schedule of real times, got {type(objective).__name__} with "
            f"{type(schedule).__name__}"
        )


def _require_given(variance: str, objective: Objective) -> None:
    if variance == LEARNED:
        raise ValueError(
            "objective must be hybrid or bound for variance learned_range, which an error by itself does not train, "
            f"got {type(objective).__name__}"
        )
