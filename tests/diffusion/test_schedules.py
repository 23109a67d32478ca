"""Noise schedules: identities, published end points, precision, refusals."""

import math

import pytest
import torch

from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Epsilon, Flow, Preconditioned, Sample, Velocity
from genexp.diffusion.rescaled import ZeroTerminalSNR
from genexp.diffusion.schedules import Cosine, Linear, ScaledLinear, Sigmoid, VariancePreserving
from genexp.diffusion.weighting import UniformEpsilon

SCHEDULES = [Linear(), Cosine(), Linear(steps=100), Cosine(steps=50), Sigmoid(), Sigmoid(60, -3, 6, 0.7)]
SCHEDULES += [ScaledLinear(), ScaledLinear(40), ZeroTerminalSNR(Linear()), ZeroTerminalSNR(Sigmoid(30))]


def levels(schedule, dtype=torch.float64):
    return schedule(torch.arange(schedule.last + 1), dtype)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_variance_is_preserved_and_time_zero_is_the_data(schedule):
    alpha, sigma = levels(schedule)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha), rtol=0, atol=1e-15)
    assert (alpha[0], sigma[0]) == (1, 0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_signal_falls_and_noise_rises_at_every_step(schedule):
    alpha, sigma = levels(schedule)
    assert (alpha.diff() < 0).all()
    assert (sigma.diff() > 0).all()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_betas_are_the_variances_of_single_steps(schedule):
    alpha, sigma = levels(schedule)
    one_step = sigma[1:] ** 2 - (alpha[1:] / alpha[:-1]) ** 2 * sigma[:-1] ** 2
    torch.testing.assert_close(one_step, schedule.betas, rtol=1e-9, atol=1e-13)


def test_published_ends_of_the_linear_schedule():
    schedule = Linear()
    alpha, _ = levels(schedule)
    assert schedule.last == 1000
    assert float(schedule.betas[0]) == pytest.approx(1e-4)
    assert float(schedule.betas[-1]) == pytest.approx(0.02)
    assert float(alpha[-1] ** 2) == pytest.approx(4.04e-5, rel=2e-3)
    assert float(1 / alpha[-1]) == pytest.approx(157, rel=5e-3)


def test_published_ends_of_the_cosine_schedule():
    schedule = Cosine()
    alpha, _ = levels(schedule)
    assert float(schedule.betas.max()) == 0.999
    assert float(alpha[-1] ** 2) == pytest.approx(2.4e-9, rel=2e-2)
    assert float(1 / alpha[-1]) == pytest.approx(20_291, rel=1e-3)


def test_cosine_is_a_cosine_below_the_cap():
    alpha, _ = levels(Cosine(offset=0.008))
    expected = math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)
    assert float(alpha[500]) == pytest.approx(expected, rel=1e-12)


def test_the_scaled_linear_schedule_is_that_of_latent_diffusion():
    deviations = torch.linspace(8.5e-4**0.5, 0.012**0.5, 1000, dtype=torch.float64)
    torch.testing.assert_close(ScaledLinear().betas, deviations**2)
    signal = levels(ScaledLinear())[0][-1] ** 2
    assert float(signal) == pytest.approx(0.00466, abs=1e-5)  # the diffusers' alphas_cumprod[-1] of Stable Diffusion


def test_a_sigmoid_is_half_way_in_the_middle_and_straight_at_high_temperature():
    alpha, _ = levels(Sigmoid(100))
    assert float(alpha[50] ** 2) == pytest.approx(0.5, abs=1e-12)
    straight, _ = levels(Sigmoid(100, temperature=1e4))
    torch.testing.assert_close(straight[:100] ** 2, 1 - torch.arange(100).double() / 100, rtol=0, atol=1e-7)


@pytest.mark.parametrize("of", [Linear(), Cosine(50), Sigmoid(30), ScaledLinear()])
def test_without_signal_at_the_end_the_first_level_stays_and_the_others_keep_their_order(of):
    before, after = levels(of)[0], levels(ZeroTerminalSNR(of))[0]
    assert after[-1] == 0
    assert float(after[1]) == pytest.approx(float(before[1]), rel=1e-14)
    torch.testing.assert_close(after[1:], (before[1:] - before[-1]) * before[1] / (before[1] - before[-1]))
    assert ZeroTerminalSNR(of).log_snr(torch.tensor([of.last])) == -math.inf
    assert ZeroTerminalSNR(of).at_snr(torch.tensor([-math.inf])) == of.last


@pytest.mark.parametrize("prediction", [Velocity(), Flow(), Sample(), Preconditioned()])
def test_at_pure_noise_every_prediction_but_the_noise_leads_back(prediction):
    schedule, weighting = ZeroTerminalSNR(Linear()), UniformEpsilon()
    NetworkDenoiser(torch.nn.Identity(), schedule, prediction, weighting, (1,))
    with pytest.raises(ValueError, match="got Epsilon with ZeroTerminalSNR: nan for 1 at time 1000"):
        NetworkDenoiser(torch.nn.Identity(), schedule, Epsilon(), weighting, (1,))


def test_linear_noise_ends_alike_for_any_number_of_steps():
    ends = [float(levels(Linear(steps))[0][-1]) for steps in (500, 1000, 4000)]
    assert ends == pytest.approx([ends[1]] * 3, rel=0.06)


def test_float64_matters_for_posterior_variances():
    """The reason for the tables' precision: in float32 the variances of the first steps err by 1e-4."""
    schedule = Linear()
    _, sigma = levels(schedule)
    kept = (1 - schedule.betas.float()).cumprod(0)
    coarse = (1 - kept[:-1]) / (1 - kept[1:]) * schedule.betas.float()[1:]
    exact = schedule.betas[1:] * (sigma[1:-1] / sigma[2:]) ** 2
    assert 1e-5 < float((coarse / exact - 1).abs().max()) < 1e-3


def test_float32_levels_are_rounded_once_from_float64():
    alpha, sigma = levels(Linear(), torch.float32)
    exact_alpha, exact_sigma = levels(Linear())
    assert torch.equal(alpha, exact_alpha.float())
    assert torch.equal(sigma, exact_sigma.float())


def test_autocast_leaves_the_levels_alone():
    schedule, t = Cosine(), torch.arange(1001)
    plain = schedule(t)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = schedule(t)
    assert cast[0].dtype == torch.float32
    assert torch.equal(cast[0], plain[0])
    assert float(cast[1][1:].min()) > 0


def test_times_may_repeat_and_come_in_any_order():
    schedule = Linear()
    alpha, _ = schedule(torch.tensor([5, 1000, 5, 0]))
    assert alpha[0] == alpha[2]
    assert alpha[3] == 1


def test_impossible_schedules_are_refused():
    with pytest.raises(ValueError, match=r"steps must be more than 20 for variances 0.0001 to 0.02, got 20"):
        Linear(steps=20)
    for steps in (1, 10, 12):
        with pytest.raises(ValueError, match=f"steps must be more than 12 .*, got {steps}"):
            ScaledLinear(steps)
    with pytest.raises(ValueError, match=r"start and end must be variances, at least 0, got -1 and 0.012"):
        ScaledLinear(start=-1)
    with pytest.raises(ValueError, match="start must lie below end, 3, got 3"):
        Sigmoid(start=3)
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        Sigmoid(temperature=0)
    with pytest.raises(ValueError, match="schedule must have at least 2 integer times, got RectifiedFlow up to 1"):
        ZeroTerminalSNR(RectifiedFlow())
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        Cosine(steps=0)
    with pytest.raises(ValueError, match=r"largest_beta must lie in \(0, 1\), got 1"):
        Cosine(largest_beta=1.0)
    with pytest.raises(ValueError, match=r"betas must lie in \(0, 1\), got 2 values from -0.1 to 0.5"):
        VariancePreserving(torch.tensor([-0.1, 0.5]))
    with pytest.raises(ValueError, match=r"betas must lie in \(0, 1\), got 2 values from 0.5 to 1"):
        VariancePreserving(torch.tensor([1.0, 0.5]))
    with pytest.raises(TypeError, match=r"integer times, got torch.float32"):
        Linear()(torch.tensor([0.5]))
