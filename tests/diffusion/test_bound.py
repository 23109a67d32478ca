"""The variational bound against closed forms: its terms, its pixels, and never below the exact value of a Gaussian."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from genexp.conditioning.base import UNCONDITIONAL
from genexp.contracts import Density
from genexp.diffusion.bound import VariationalBound
from genexp.diffusion.continuous import LinearContinuous, RectifiedFlow
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.exploding import NoiseLevel
from genexp.diffusion.objective import Bound, Hybrid, WeightedError
from genexp.diffusion.prediction import Epsilon, Flow, Sample
from genexp.diffusion.rescaled import ZeroTerminalSNR
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.weighting import MinSNR, UniformEpsilon
from genexp.evaluation.metrics.bound import BoundedDensity
from genexp.tensors import IndexedNoise, from_levels

SCHEDULES = [Linear(100), Cosine(30), ZeroTerminalSNR(Linear(60)), LinearContinuous(), RectifiedFlow(), NoiseLevel()]


def example(schedule, variance, levels=256, grid=40):
    bound = VariationalBound(schedule, variance, levels, grid)
    count = len(bound.times)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, 1, 2, 2, generator=generator, dtype=torch.float64) * 2 - 1
    error, share = torch.randn(2, count, 1, 2, 2, generator=generator, dtype=torch.float64)
    return bound, x, torch.arange(count), error, share.sigmoid()


def snr(schedule, times):
    return schedule.log_snr(times).exp()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda part: type(part).__name__)
def test_with_the_variance_given_the_image_a_term_is_half_the_loss_of_signal_to_noise_times_the_error(schedule):
    """Kingma et al., "Variational Diffusion Models" (2021), equation 13."""
    bound, x, index, error, _ = example(schedule, "fixed_small")
    ratio = snr(schedule, bound.times)
    expected = (ratio[:-1] - ratio[1:]) / 2 * error[1:].square().flatten(1).sum(1)
    torch.testing.assert_close(bound.term(x, index, error)[1:], expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("variance", ["fixed_large", "learned_range"])
@pytest.mark.parametrize("schedule", SCHEDULES[:4], ids=lambda part: type(part).__name__)
def test_a_term_is_the_divergence_of_two_normal_distributions(schedule, variance):
    bound, x, index, error, share = example(schedule, variance)
    alpha, sigma = schedule(bound.times, torch.float64)
    x_t = alpha.view(-1, 1, 1, 1) * x + sigma.view(-1, 1, 1, 1)
    for i in (1, 5, len(index) - 1):
        step = sigma[i] ** 2 - (alpha[i] / alpha[i - 1]) ** 2 * sigma[i - 1] ** 2
        small = step * (sigma[i - 1] / sigma[i]) ** 2
        part = share[i] if variance == "learned_range" else torch.ones_like(share[i])
        own = (part * step.log() + (1 - part) * small.log()).exp()
        keep, gain = alpha[i] / alpha[i - 1] * (sigma[i - 1] / sigma[i]) ** 2, alpha[i - 1] * step / sigma[i] ** 2
        true = Normal(keep * x_t[i] + gain * x[i], small.sqrt())
        model = Normal(keep * x_t[i] + gain * (x[i] + error[i]), own.sqrt())
        expected = kl_divergence(true, model).sum()
        found = bound.term(x[i][None], index[i][None], error[i][None], share[i][None])
        torch.testing.assert_close(found[0], expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("spread", [1e-3, 0.05, 2.0])
def test_the_pixels_levels_share_all_probability_and_none_is_lost_in_the_tails(spread):
    levels = 17
    bound = VariationalBound(Linear(), "fixed_small", levels)
    x = from_levels(torch.arange(levels), levels).double().view(levels, 1)
    log_variance = torch.full_like(x, 2 * math.log(spread))
    for mean in (0.13, -1.4, 0.97):
        found = bound._log_decoder(x, torch.full_like(x, mean), log_variance)
        assert float(found.exp().sum()) == pytest.approx(1, abs=1e-6)
        assert torch.isfinite(found).all()
    edges = (x + torch.tensor([-1.0, 1.0]) / (levels - 1) - 0.13) / spread
    direct = torch.special.ndtr(edges).diff(dim=1)[1:-1]
    known = direct > 1e-10
    found = bound._log_decoder(x, torch.full_like(x, 0.13), log_variance)[1:-1].exp()
    torch.testing.assert_close(found[known], direct[known], rtol=1e-5, atol=0)


def test_the_start_is_a_divergence_from_the_noise_that_sampling_begins_with():
    bound, x, *_ = example(Linear(100), "fixed_small")
    alpha, sigma = Linear(100)(torch.tensor([100]), torch.float64)
    expected = kl_divergence(Normal(alpha * x, sigma), Normal(torch.tensor(0.0).double(), 1.0)).flatten(1).sum(1)
    torch.testing.assert_close(bound.prior(x), expected)
    assert (example(ZeroTerminalSNR(Linear(50)), "fixed_small")[0].prior(x) == 0).all()


# A Gaussian, whose reverse steps are known

MEAN, SPREAD = 0.3, 0.4


class ExactSteps(nn.Module):
    """E[x | x_t] of normal data, and the share at which a step's variance is the true one; told t - 1."""

    def __init__(self, schedule):
        super().__init__()
        self.schedule, self.bound = schedule, VariationalBound(schedule, "learned_range", None)

    def forward(self, x_t, told, condition=UNCONDITIONAL):
        step = self.bound.at(told, x_t)
        total = step.sigma**2 + step.alpha**2 * SPREAD**2
        clean = MEAN + step.alpha * SPREAD**2 / total * (x_t - step.alpha * MEAN)
        first = (told == 0).view(-1, 1)
        own = torch.where(first, 0, step.posterior.exp()) + step.gain**2 * SPREAD**2 * step.sigma**2 / total
        share = (own.log() - step.small) / (step.large - step.small)
        return torch.cat([clean, 2 * share - 1], 1)


class Half(ExactSteps):
    def forward(self, x_t, told, condition=UNCONDITIONAL):
        return super().forward(x_t, told).chunk(2, 1)[0]


def gaussian_gap(variance):
    """Mean of bound minus exact value over normal points, in nats, and three standard errors of it."""
    schedule = Cosine(10)
    network = (ExactSteps if variance == "learned_range" else Half)(schedule)
    objective = Bound() if variance == "learned_range" else WeightedError()
    parts = (network, schedule, Sample(), UniformEpsilon(), (1,))
    model = NetworkDenoiser(*parts, variance=variance, objective=objective)
    x = MEAN + SPREAD * torch.randn(3000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = model.observe({"image": x}, IndexedNoise(0, range(3000)))
    exact = Normal(torch.tensor(MEAN).double(), SPREAD).log_prob(x).sum(1)
    gap = exact - model.log_prob(seen)
    return float(gap.mean()), 3 * float(gap.std()) / len(x) ** 0.5


def test_the_bound_of_a_gaussian_is_exact_with_its_own_variances_and_never_below():
    tight, error = gaussian_gap("learned_range")
    assert abs(tight) < error < 0.06
    for variance in ("fixed_small", "fixed_large"):
        gap, error = gaussian_gap(variance)
        assert gap > max(error, 0.02)


def pixel_model(schedule, levels=9, **options):
    torch.manual_seed(0)
    network = nn.Conv2d(1, 1, 3, padding=1)
    call = lambda x_t, told, condition: network(x_t)  # noqa: E731
    model = NetworkDenoiser(call, schedule, Epsilon(), UniformEpsilon(), (1, 3, 3), levels=levels, **options)
    model.bound = VariationalBound(schedule, model.variance, levels, grid=30)
    return model


@pytest.mark.parametrize("schedule", [Linear(30), LinearContinuous()], ids=lambda part: type(part).__name__)
def test_terms_are_those_of_single_steps_and_add_up_to_the_whole(schedule):
    model, image = pixel_model(schedule), torch.rand(4, 1, 3, 3) * 2 - 1
    assert isinstance(model, Density)
    assert isinstance(model, BoundedDensity)
    with torch.no_grad():
        seen = model.observe({"image": image}, IndexedNoise(0, range(4)))
        terms = model.bound_terms(seen)
        assert terms.shape == (4, len(model.bound.times) + 1)
        torch.testing.assert_close(model.log_prob(seen), -terms.sum(1))
        alone = [model.observe({"image": image[i : i + 1]}, IndexedNoise(0, [i])) for i in range(4)]
        torch.testing.assert_close(torch.cat([model.bound_terms(each) for each in alone]), terms, rtol=1e-5, atol=1e-5)
    assert (terms >= 0).all()
    assert seen["image"].unique().numel() <= 9


# Objectives


class Two(nn.Module):
    """A mean and a share, each of a parameter of its own."""

    outputs = 2

    def __init__(self):
        super().__init__()
        self.mean, self.share = (nn.Parameter(torch.tensor(0.2, dtype=torch.float64)) for _ in range(2))

    def forward(self, x_t, told, condition=UNCONDITIONAL):
        return torch.cat([self.mean * x_t, self.share * torch.ones_like(x_t)], 1)


def gradients(objective, variance="learned_range"):
    network, schedule = Two(), Linear(100)
    if variance != "learned_range":
        call = lambda x_t, told, condition: network(x_t, told).chunk(2, 1)[0]  # noqa: E731
    shape, known = (1, 2, 2), {"variance": variance, "objective": objective}
    model = NetworkDenoiser(
        network if variance == "learned_range" else call, schedule, Epsilon(), UniformEpsilon(), shape, **known
    )
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 50, *shape, generator=generator, dtype=torch.float64)
    loss = model.loss(x.clamp(-1, 1), torch.arange(1, 101, 2), noise)
    loss.mean().backward()
    return loss.detach(), network.mean.grad, network.share.grad


def test_hybrid_is_the_sum_of_both_and_the_bound_in_it_trains_the_variance_alone():
    simple, simple_mean, _ = gradients(WeightedError(), "fixed_small")
    bound, _, bound_share = gradients(Bound())
    hybrid, hybrid_mean, hybrid_share = gradients(Hybrid(0.001))
    torch.testing.assert_close(hybrid, simple + 0.001 * bound)
    torch.testing.assert_close(hybrid_mean, simple_mean)
    torch.testing.assert_close(hybrid_share, 0.001 * bound_share)
    assert bound_share != 0


def test_the_bound_with_a_fixed_variance_is_a_weighting_of_the_error():
    bound, *_ = gradients(Bound(), "fixed_small")
    simple, *_ = gradients(WeightedError(), "fixed_small")
    t = torch.arange(3, 101, 2)
    ratio = snr(Linear(100), torch.arange(1, 101))
    weight = 100 * (ratio[t - 2] - ratio[t - 1]) / 2 / ratio[t - 1] / math.log(2)
    torch.testing.assert_close(bound[1:], weight * simple[1:], rtol=1e-6, atol=0)


def test_what_does_not_fit_is_refused():
    parts = (Linear(50), Epsilon(), UniformEpsilon(), (1, 2, 2))
    with pytest.raises(ValueError, match=r"objective must be hybrid or bound for variance learned_range"):
        NetworkDenoiser(Two(), *parts, variance="learned_range")
    with pytest.raises(ValueError, match=r"variance must fit network.outputs, 1 for fixed_large, got 2"):
        NetworkDenoiser(Two(), *parts, variance="fixed_large")
    with pytest.raises(ValueError, match=r"variance must be one of fixed_small, .*, got 'large'"):
        NetworkDenoiser(Two(), *parts, variance="large")
    with pytest.raises(ValueError, match="levels must be at least 2, or null for real values, got 1"):
        NetworkDenoiser(Two(), *parts, levels=1)
    for objective in (Bound(), Hybrid()):
        with pytest.raises(ValueError, match=r"objective must be weighted_error .*, got \w+ with RectifiedFlow"):
            NetworkDenoiser(nn.Identity(), RectifiedFlow(), Flow(), UniformEpsilon(), (1,), objective=objective)
    others = (Linear(50), Epsilon(), MinSNR(), (1, 2, 2))
    with pytest.raises(ValueError, match=r"weighting must be simple with objective=bound, .*, got MinSNR; .*hybrid"):
        NetworkDenoiser(nn.Identity(), *others, objective=Bound())
    NetworkDenoiser(nn.Identity(), *others, objective=Hybrid())
    with pytest.raises(ValueError, match="share must be at least 0, got -1"):
        Hybrid(-1)
    narrow = NetworkDenoiser(lambda *_: torch.zeros(2, 1, 2, 2), *parts, variance="learned_range", objective=Bound())
    with pytest.raises(ValueError, match="network must have 2 output channels for learned_range, got 1"):
        narrow(torch.zeros(2, 1, 2, 2), torch.tensor([1, 2]))
