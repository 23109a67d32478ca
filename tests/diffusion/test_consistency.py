"""Consistency: its boundary, the exact function of known data as a fixed point, the curriculum, drawing in a step."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from exact_denoisers import Mixture
from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.diffusion.consistency import Consistency, heun
from genexp.diffusion.continuous import CosineContinuous
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.exploding import NoiseLevel
from genexp.diffusion.objective import PseudoHuber
from genexp.diffusion.prediction import Consistent, Preconditioned
from genexp.diffusion.schedules import Linear
from genexp.diffusion.weighting import UniformSample
from genexp.sampling.consistency import ConsistencySampler
from genexp.tensors import IndexedNoise

STD, LOWEST, SCHEDULE = 0.5, 0.002, NoiseLevel()
CONSISTENT = Consistent(STD, LOWEST)
GAUSSIAN = Mixture(SCHEDULE, std=STD)


def along(x_t, t, s):
    """Where the flow of N(0, STD^2) takes images from noise t to s."""
    return x_t * ((STD**2 + s**2) / (STD**2 + t**2)) ** 0.5


class ExactFunction:
    """The consistency function of N(0, STD^2)."""

    conditioning, image_shape, schedule = Conditioning(), (1,), SCHEDULE

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        return along(x_t, t[:, None], LOWEST)


class Network(nn.Module):
    """What a network must say for the denoiser to be a given function of x_t and t."""

    def __init__(self, function, prediction):
        super().__init__()
        self.function, self.prediction = function, prediction

    def forward(self, seen, embedded, condition=UNCONDITIONAL):
        t = (4 * embedded.double()).exp()[:, None]
        alpha, x_t = torch.ones_like(t), seen * (t**2 + STD**2) ** 0.5
        scale = self.prediction.scale(alpha, t)
        skipped = self.prediction.to_sample(torch.zeros_like(x_t), x_t, alpha, t)
        return torch.where(scale > 0, (self.function(x_t, t) - skipped) / scale, 7.0)


def denoiser(function, prediction=CONSISTENT, schedule=SCHEDULE, **more):
    parts = (Network(function, prediction), schedule, prediction, UniformSample(), (1,))
    return NetworkDenoiser(*parts, objective=PseudoHuber(), **more)


def test_an_image_at_the_lowest_noise_is_left_as_it_is_and_scales_are_those_of_the_paper():
    prediction, x = Consistent(STD, LOWEST), torch.randn(5, dtype=torch.float64)
    one, least = torch.ones_like(x), torch.full_like(x, LOWEST)
    assert torch.equal(prediction.to_sample(100 * x, x, one, least), x)
    n = torch.logspace(-2.6, 1.9, 5, dtype=torch.float64)
    kept, out = STD**2 / ((n - LOWEST) ** 2 + STD**2), STD * (n - LOWEST) / (STD**2 + n**2) ** 0.5
    for alpha in (one, 0.3 * one):
        x_t, output = alpha * torch.randn_like(x), torch.randn_like(x)
        found = prediction.to_sample(output, x_t, alpha, n * alpha)
        torch.testing.assert_close(found, kept * x_t / alpha + out * output)
        torch.testing.assert_close(prediction.scale(alpha, n * alpha), out)
        noise = torch.randn_like(x)
        target = prediction.target(x, noise, alpha, n * alpha)
        torch.testing.assert_close(prediction.to_sample(target, alpha * (x + n * noise), alpha, n * alpha), x)


def test_training_leaves_the_exact_function_of_a_single_image_alone():
    x, goal = torch.full((6, 1), 0.3, dtype=torch.float64), Consistency(1, 6, 6)
    model = denoiser(lambda x_t, t: 0.3 + (x_t - 0.3) * LOWEST / t)
    t, s = goal.times((torch.arange(6) + 0.5).double() / 6, SCHEDULE, 0)
    s[0], t[0] = goal.grid(SCHEDULE, 6)[0][:2]
    noise = torch.randn_like(x)
    taught = partial(goal, model, t=t, s=s, x=x, noise=noise, told=UNCONDITIONAL)
    assert model.loss(x, t, noise, goal=taught).abs().max() < 1e-10
    assert model.loss(x, t, noise).max() > 1e-4  # it is not the clean image itself


@pytest.mark.parametrize("start", [0.05, 1.0, 20.0])
def test_distillation_errs_on_the_exact_function_of_a_gaussian_by_the_third_power_of_a_step(start):
    model, errors = denoiser(lambda x_t, t: along(x_t, t, LOWEST)), []
    x_t, t = torch.tensor([[1.3]], dtype=torch.float64), torch.tensor([start], dtype=torch.float64)
    goal = Consistency(1, teacher=GAUSSIAN)
    for width in (0.02, 0.01):
        said = goal(model, x_t, t, t * (1 - width), x_t, x_t, UNCONDITIONAL)
        errors.append(abs(float(said - model(x_t, t))))
    assert 2.9 < math.log2(errors[0] / errors[1]) < 3.1


def test_the_step_of_a_teacher_is_heuns_on_a_schedule_that_takes_signal_away():
    schedule = CosineContinuous()
    model, errors = Mixture(schedule, std=STD), []
    x_t = torch.tensor([[0.7]], dtype=torch.float64)
    for width in (0.02, 0.01):
        t, s = (torch.tensor([each], dtype=torch.float64) for each in (0.5, 0.5 - width))
        (a, n), (b, m) = (schedule(each, torch.float64) for each in (t, s))
        exact = x_t * ((b**2 * STD**2 + m**2) / (a**2 * STD**2 + n**2)) ** 0.5
        errors.append(abs(float(heun(model, x_t, t, s, UNCONDITIONAL) - exact)))
    assert 2.9 < math.log2(errors[0] / errors[1]) < 3.1


def test_the_grid_doubles_in_equal_shares_of_training():
    goal = Consistency(800, 10, 1280)  # 10, 20, ... 1280 are eight stages
    assert [goal.steps_at(images) for images in (0, 99, 100, 399, 400, 700, 799, 10**9)] == [
        *(10, 10, 20, 80, 160, 1280, 1280, 1280)
    ]
    times, levels = goal.grid(SCHEDULE, 10)
    assert (times[0], times[-1], len(times)) == (0.002, 80.0, 11)
    torch.testing.assert_close(times, levels)
    gaps = (levels ** (1 / 7)).diff()
    torch.testing.assert_close(gaps, gaps.mean().expand(10))


def test_parts_of_the_grid_are_drawn_by_the_normal_law_of_their_noise():
    goal, count = Consistency(1, 5, 5), 100_000
    t, s = goal.times((torch.arange(count) + 0.5).double() / count, SCHEDULE, 0)
    levels = goal.grid(SCHEDULE, 5)[1]
    law = torch.distributions.Normal(-1.1, 2.0).cdf(levels.log()).diff()
    found = torch.histc(torch.searchsorted(levels, s + 1e-9).double() - 1, 5, 0, 4) / count
    torch.testing.assert_close(found, (law / law.sum()), rtol=0, atol=3e-5)
    torch.testing.assert_close(goal.weight(t, s, SCHEDULE), 1 / (t - s))


def test_pseudo_huber_is_a_squared_error_near_zero_and_the_error_beyond():
    model = denoiser(lambda x_t, t: torch.zeros_like(x_t))
    t, noise = torch.full((3,), 1.0).double(), torch.zeros(3, 1).double()
    x = torch.tensor([[1e-6], [5.4e-4], [0.8]], dtype=torch.float64)
    c = 0.00054
    expected = torch.tensor([0.5e-12 / c, (math.sqrt(2) - 1) * c, 0.8 - c], dtype=torch.float64)
    torch.testing.assert_close(model.loss(x, t, noise), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="factor must be above 0, got 0"):
        PseudoHuber(0)


def test_what_cannot_be_consistent_is_refused():
    for name, value in (("images", 0), ("first_steps", 1), ("std", 0), ("rho", 0)):
        with pytest.raises(ValueError, match=rf"{name} must be .*, got {value}"):
            Consistency(**{"images": 1, name: value})
    with pytest.raises(ValueError, match="last_steps must be at least first_steps, 10, got 9"):
        Consistency(1, 10, 9)
    with pytest.raises(ValueError, match=r"prediction must leave an image.*lowest=0\.002.*got Preconditioned"):
        Consistency(1).begin(denoiser(lambda x_t, t: x_t, Preconditioned(STD)))
    with pytest.raises(ValueError, match=r"got Consistent, which makes"):
        Consistency(1).begin(denoiser(lambda x_t, t: x_t, Consistent(STD, 0.01)))
    with pytest.raises(ValueError, match="schedule must be of real times for consistency"):
        Consistency(1).begin(denoiser(lambda x_t, t: x_t, Consistent(STD, 0.01), Linear()))
    Consistency(1).begin(denoiser(lambda x_t, t: x_t))


def test_the_exact_function_draws_a_gaussian_in_one_step_and_in_several():
    count = 20_000
    start, noise = IndexedNoise(0, range(count)).normal(1).double(), IndexedNoise(1, range(count))
    once = ConsistencySampler(1, clip=False)
    found = once.run(ExactFunction(), start, noise)
    torch.testing.assert_close(found, along(math.hypot(1, 80) * start, 80.0, LOWEST))
    assert abs(float(found.std()) - STD) < 0.01
    assert once.deterministic
    several = ConsistencySampler(None, [80.0, 0.8, 0.1], clip=False)
    assert abs(float(several.run(ExactFunction(), start, noise).std()) - STD) < 0.01
    assert not several.deterministic
