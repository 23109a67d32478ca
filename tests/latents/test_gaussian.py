"""The posterior agrees with torch.distributions and with Monte Carlo."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genexp.latents.gaussian import LOG_VARIANCE_RANGE, DiagonalGaussian, UnitActivity


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def posterior():
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
    return DiagonalGaussian(draw[0], draw[1])


def normal(posterior):
    return Normal(posterior.mean, torch.exp(posterior.log_variance / 2))


def test_kl_and_density_agree_with_torch(posterior):
    units = kl_divergence(normal(posterior), Normal(0.0, 1.0))
    torch.testing.assert_close(posterior.kl_per_unit(), units)
    torch.testing.assert_close(posterior.kl(), units.sum(1))
    latent = torch.randn(4, 6).double()
    torch.testing.assert_close(posterior.log_prob(latent), normal(posterior).log_prob(latent).sum(1))


def test_kl_agrees_with_monte_carlo(posterior):
    noise = torch.randn(5_000, 4, 6, generator=torch.Generator().manual_seed(1)).double()
    latent = posterior.rsample(noise)
    prior = DiagonalGaussian(torch.zeros_like(posterior.mean), torch.zeros_like(posterior.mean))
    ratios = torch.stack([posterior.log_prob(z) - prior.log_prob(z) for z in latent])
    error = ratios.std(0) / len(ratios) ** 0.5
    assert ((ratios.mean(0) - posterior.kl()).abs() < 4 * error).all()


def test_kl_vanishes_only_at_the_prior_and_keeps_small_values():
    at_prior = DiagonalGaussian(torch.zeros(1, 3), torch.zeros(1, 3))
    assert at_prior.kl().item() == 0
    near = DiagonalGaussian(torch.zeros(1, 1), torch.full((1, 1), 1e-3))
    assert near.kl().item() == pytest.approx(1e-6 / 4, rel=1e-2)


def test_samples_have_the_stated_moments_and_gradients(posterior):
    noise = torch.randn(50_000, 4, 6, generator=torch.Generator().manual_seed(2)).double()
    latent = posterior.rsample(noise)
    torch.testing.assert_close(latent.mean(0), posterior.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(latent.var(0), posterior.log_variance.exp(), atol=0, rtol=0.05)
    mean, log_variance = torch.zeros(1, 1, requires_grad=True), torch.zeros(1, 1, requires_grad=True)
    DiagonalGaussian(mean, log_variance).rsample(torch.full((1, 1), 3.0)).sum().backward()
    assert (mean.grad.item(), log_variance.grad.item()) == (1.0, 1.5)


def test_parameters_are_means_then_clipped_log_variances():
    posterior = DiagonalGaussian.from_parameters(torch.tensor([[1.0, 2.0, -1e3, 1e3]]).bfloat16())
    assert posterior.mean.tolist() == [[1.0, 2.0]]
    assert posterior.log_variance.tolist() == [list(LOG_VARIANCE_RANGE)]
    assert posterior.mean.dtype == torch.float32
    assert posterior.kl().isfinite().all()


def test_image_shaped_latents_sum_over_every_axis():
    posterior = DiagonalGaussian.from_parameters(torch.randn(3, 8, 2, 2).double())
    assert posterior.mean.shape == (3, 4, 2, 2)
    torch.testing.assert_close(posterior.kl(), kl_divergence(normal(posterior), Normal(0.0, 1.0)).sum((1, 2, 3)))


def test_odd_parameters_are_refused():
    with pytest.raises(ValueError, match=r"parameters must have an even size on axis 1, got \(2, 5\)"):
        DiagonalGaussian.from_parameters(torch.zeros(2, 5))


def test_active_units_are_those_whose_posterior_mean_varies():
    means = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.2, 0.05, 0.0]) + 100
    activity = UnitActivity()
    for part in means.split([300, 700]):
        activity.add(part)
    torch.testing.assert_close(activity.variance(), means.double().var(0, unbiased=False), atol=1e-9, rtol=1e-6)
    assert activity.active_units() == 2


def test_variance_needs_samples():
    with pytest.raises(ValueError, match="variance needs at least one sample, got none"):
        UnitActivity().variance()
