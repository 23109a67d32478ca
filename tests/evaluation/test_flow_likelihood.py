"""The density of the probability-flow ODE: that of a Gaussian whose denoiser is exact, to second order in the steps."""

import math

import pytest
import torch
from torch.distributions import Normal

from genexp.conditioning.base import Conditioning
from genexp.diffusion.continuous import CosineContinuous, LinearContinuous, RectifiedFlow
from genexp.diffusion.exploding import NoiseLevel
from genexp.diffusion.schedules import Linear
from genexp.evaluation.metrics.flow_likelihood import FlowLikelihood
from genexp.tensors import IndexedNoise, expand_to

MEAN, SPREAD = 0.3, 0.4


class Exact:
    """E[x | x_t] of data that are normal in every value."""

    def __init__(self, schedule, levels=None):
        self.schedule, self.levels, self.conditioning = schedule, levels, Conditioning()

    def __call__(self, x_t, t, condition):
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, x_t.dtype))
        share = alpha * SPREAD**2 / (sigma**2 + alpha**2 * SPREAD**2)
        return MEAN + share * (x_t - alpha * MEAN)


def error(schedule, steps, along="flow"):
    x = MEAN + SPREAD * torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None].expand(9, 3)
    found = FlowLikelihood(steps=steps, along=along).log_prob(Exact(schedule), {"image": x}, IndexedNoise(0, range(9)))
    return float((found - Normal(MEAN, SPREAD).log_prob(x).sum(1)).abs().max())


@pytest.mark.parametrize(
    ("schedule", "along"), [(RectifiedFlow(), "flow"), (CosineContinuous(), "flow"), (CosineContinuous(), "noise")]
)
def test_the_density_of_a_gaussian_is_found_to_second_order(schedule, along):
    coarse, fine = error(schedule, 40, along), error(schedule, 80, along)
    assert fine < 0.5
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("schedule", [LinearContinuous(), NoiseLevel(1e-3, 400.0)])
def test_what_is_left_of_the_image_at_the_last_time_and_of_noise_at_the_first_is_small(schedule):
    """Sampling begins with noise alone, and the data are taken for images at the first time."""
    assert error(schedule, 100) < 0.06


def test_levels_are_dequantised_and_cost_the_width_of_their_bins():
    """The mean over the noise of one bin, by the midpoint rule; 2,000 draws."""
    levels, count = 5, 2000
    image = torch.full((count, 1, 1, 1), 0.5, dtype=torch.float64)
    batches = [{"image": image, "group": torch.arange(count) % 20}]
    model = Exact(RectifiedFlow(), levels)
    values = FlowLikelihood(steps=40).compute(model, batches, seed=0)
    inside = 0.5 + (torch.arange(1000, dtype=torch.float64) / 1000 - 0.4995) * 2 / (levels - 1)
    expected = -float(Normal(MEAN, SPREAD).log_prob(inside).mean()) - math.log(2 / (levels - 1))
    assert values["flow_nll"].value == pytest.approx(expected, abs=0.02)
    assert values["flow_bits_per_dim"].value == pytest.approx(values["flow_nll"].value / math.log(2))
    assert FlowLikelihood().subject(model) == "5 levels, dequantised"


def test_what_is_no_such_model_is_refused():
    with pytest.raises(TypeError, match="FlowLikelihood measures a LeveledDenoiser, got int"):
        FlowLikelihood().require(3)
    FlowLikelihood().require(Exact(RectifiedFlow()))
    with pytest.raises(TypeError, match=r"of real times, got Linear; metrics=bound .* model/schedule=rectified_flow, "):
        FlowLikelihood().require(Exact(Linear()))
    with pytest.raises(ValueError, match="along must be flow or noise, got 'time'"):
        FlowLikelihood(along="time")
    with pytest.raises(ValueError, match="along must be flow where no signal is left at the last time, 1, got noise"):
        error(RectifiedFlow(), 5, "noise")
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        FlowLikelihood(steps=0)
