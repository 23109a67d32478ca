r"""Power-function averages, p(tau; t) = (gamma + 1) tau^gamma / t^(gamma + 1) on [0, t], and what others they make up.

Such an average of a run of t images looks back over a share of it that does not change with t: its standard deviation
over t is the relative width, sigma_rel = sqrt((gamma + 1) / ((gamma + 2)^2 (gamma + 3))).

Reference: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models" (2024), section 3 and
appendix C.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

WIDEST = 1 / math.sqrt(12)
"""The relative width of the plain mean over all of training, gamma = 0."""


class Profile(NamedTuple):
    """The weight of every moment in one power-function average.

    Attributes:
        end: Images seen at its end, above 0.
        gamma: Its exponent, at least 0.
    """

    end: float
    gamma: float


def gamma_of(width: float) -> float:
    """The exponent at least 0 of a relative width, to the precision of floating point.

    The width falls as the exponent grows, so the exponent is found between bounds that are halved.

    Raises:
        ValueError: `width` is not above 0 and at most `WIDEST`.
    """
    if not 0 < width <= WIDEST:
        raise ValueError(f"width must be above 0 and at most {WIDEST:.4f}, the mean over all of training, got {width}")
    low, high = 0.0, 1 / width  # width * (gamma + 2) is below 1 for every gamma
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if width_of(middle) > width else (low, middle)
    return low


def width_of(gamma: float) -> float:
    """The relative width of an exponent at least 0."""
    return math.sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2)


def decay(gamma: float, before: int, now: int) -> float:
    """What the average keeps of itself between two updates, (before / now)^(gamma + 1): nothing in the first.

    With it the average after every update is the integral of its profile over weights that stay as an update left
    them, exactly. With updates of one image it is the paper's (1 - 1 / t)^(gamma + 1).
    """
    return (before / now) ** (gamma + 1)


def overlap(one: Profile, other: Profile) -> float:
    """The integral of the product of two profiles, per image."""
    early, late = (one, other) if one.end <= other.end else (other, one)
    scale = (early.gamma + 1) * (late.gamma + 1) / (early.gamma + late.gamma + 1)
    return scale * (early.end / late.end) ** late.gamma / late.end


def combination(known: Sequence[Profile], wanted: Profile) -> tuple[list[float], float]:
    """Factors, which sum to 1, of the known profiles whose sum is nearest to the wanted one, and how far off it is.

    The distance is that of square-integrable functions. Constant weights are averaged exactly whatever the distance,
    and of any others the recovered average is off by no more than the distance times their own from any constant.

    Args:
        known: Profiles, each of them once.
        wanted: The one to be made up.

    Returns:
        A factor for each, and the distance over the length of the wanted profile; float64.
    """
    length = math.sqrt(overlap(wanted, wanted))
    scales = torch.tensor([math.sqrt(overlap(each, each)) for each in known], dtype=torch.float64)
    products = torch.tensor([[overlap(a, b) for b in known] for a in known], dtype=torch.float64)
    aims = torch.tensor([overlap(each, wanted) for each in known], dtype=torch.float64)
    products, aims = products / scales[:, None] / scales, aims / scales / length
    factors = _least_squares(products, aims, 1 / scales, 1 / length) * length / scales
    scaled = factors * scales / length
    squared = 1 - 2 * scaled @ aims + scaled @ products @ scaled
    return factors.tolist(), math.sqrt(max(0.0, float(squared)))


def _least_squares(products: Tensor, aims: Tensor, areas: Tensor, area: float) -> Tensor:
    """x of the least x' P x - 2 a' x with areas' x = area, by Lagrange's multiplier.

    Args:
        products: P (N, N), inner products of the known ones.
        aims: a (N,), inner products with the wanted one.
        areas: (N,) integrals of the known ones.
        area: Integral of the wanted one.
    """
    share = areas / areas.norm()
    bordered = torch.cat([torch.cat([products, share[:, None]], 1), torch.cat([share, share.new_zeros(1)])[None]])
    right = torch.cat([aims, (area / areas.norm())[None]])
    return torch.linalg.lstsq(bordered, right[:, None], driver="gelsd").solution[:-1, 0]
