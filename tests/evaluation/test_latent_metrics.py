"""Densities with latents against a model whose every number is known: a linear map of Gaussians."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.active_units import ActiveUnits
from genexp.evaluation.metrics.aggregate_posterior_gap import AggregatePosteriorGap
from genexp.evaluation.metrics.importance_likelihood import ImportanceLikelihood
from genexp.evaluation.metrics.rate_distortion import SHARPNESS, RateDistortion
from genexp.evaluation.over_model import scores_of_model
from genexp.evaluation.uncertainty import interval
from genexp.latents.gaussian import DiagonalGaussian

SIGMA = 0.5
WEIGHT = torch.tensor([[1.0, 0.5, 0], [1, -0.5, 0], [1, 0.5, 0], [1, -0.5, 0]])
"""Of three latents (columns, at right angles) in four pixels; the third does nothing."""


class Linear:
    """z ~ N(0, I), x ~ N(W z, SIGMA^2 I); q(z | x) is the exact posterior, `wide` times as wide."""

    latent_shape, conditioning, levels, exact, gaussian_latents = (3,), Conditioning(), None, False, True

    def __init__(self, wide=1.0):
        self.wide = wide

    def observe(self, batch, noise):
        return {**batch, "noise": noise.normal(3)}

    def log_prob(self, batch):
        return -sum(part.flatten(1).sum(1) for part in self.code_lengths(batch))

    def posterior(self, image, condition=UNCONDITIONAL):
        total = WEIGHT.square().sum(0) + SIGMA**2
        mean = image.flatten(1) @ WEIGHT / total
        return DiagonalGaussian(mean, (SIGMA**2 * self.wide**2 / total).log().expand_as(mean))

    def log_likelihood(self, batch, latent):
        return Normal(latent @ WEIGHT.T, SIGMA).log_prob(batch["image"].flatten(1)).sum(1)

    def log_weights(self, batch, noise, count):
        return torch.stack([self.log_weight(batch, noise) for _ in range(count)], 1)

    def log_weight(self, batch, noise):
        q = self.posterior(batch["image"])
        latent = q.rsample(noise.normal(3))
        prior = Normal(0.0, 1.0).log_prob(latent).sum(1)
        return self.log_likelihood(batch, latent) + prior - q.log_prob(latent)

    def code_lengths(self, batch):
        q = self.posterior(batch["image"])
        return -self.log_likelihood(batch, q.rsample(batch["noise"])), q.kl_per_unit()


def drawn(count=400, seed=0):
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(count, 3, generator=generator)
    return latent @ WEIGHT.T + SIGMA * torch.randn(count, 4, generator=generator)


def images(count=400, size=150):
    parts = drawn(count).reshape(-1, 1, 2, 2).split(size)
    return lambda split: ImageSet(split, "d" * 64, count, (1, 2, 2), lambda: ({"image": part} for part in parts))


def measured(metric, model=None, data=None, seed=0):
    return {
        key: score
        for key, score in scores_of_model({"it": metric}, model or Linear(), data or images(), seed, "raw").items()
    }


def exact_nll():
    density = MultivariateNormal(torch.zeros(4), WEIGHT @ WEIGHT.T + SIGMA**2 * torch.eye(4))
    return density, -density.log_prob(drawn()).double()


def test_with_the_exact_posterior_one_draw_says_the_exact_density_of_every_image():
    expected = float(exact_nll()[1].mean())
    for samples, seed in ((1, 0), (7, 3)):
        value = measured(ImportanceLikelihood(samples=samples), seed=seed)["importance_nll"].value
        assert value.value == pytest.approx(expected, rel=1e-5)
        assert value.details["effective_samples"] == pytest.approx(samples, rel=1e-4)


def test_the_interval_covers_the_entropy_of_the_data():
    score = measured(ImportanceLikelihood(samples=200), Linear(1.5))["importance_nll"]
    found = interval(score.value.draws)
    assert found.low < float(exact_nll()[0].entropy()) < found.high
    assert found.high - found.low < 0.4
    assert score.protocol.settings.startswith("ImportanceLikelihood(chunk=10, samples=200, split='val'): values in")
    assert score.protocol.settings.endswith("bound from above that tightens with samples")
    assert (score.better, score.value.unit) == ("lower", "nats")


def test_more_draws_come_closer_from_above_whatever_the_chunks():
    model, exact = Linear(2.0), float(exact_nll()[1].mean())
    found = [measured(ImportanceLikelihood(samples=k), model)["importance_nll"].value.value for k in (1, 5, 50, 500)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(exact, abs=0.01)
    assert found[0] > exact + 0.5
    parts = measured(RateDistortion(curve=False), model)
    bound = parts["rate"].value.value + parts["distortion"].value.value
    assert found[0] == pytest.approx(bound, abs=0.25)
    other = measured(ImportanceLikelihood(samples=5, chunk=2), model, images(size=61))["importance_nll"].value.value
    assert other == pytest.approx(found[1], rel=1e-5)


def test_rate_and_distortion_are_those_of_the_posterior_and_the_curve_runs_from_the_prior_to_it():
    found = measured(RateDistortion())
    q = Linear().posterior(drawn().reshape(-1, 1, 2, 2))
    rate = kl_divergence(Normal(q.mean, (q.log_variance / 2).exp()), Normal(0.0, 1.0)).mean(0)
    assert found["rate"].value.value == pytest.approx(float(rate.sum()), rel=1e-5)
    assert [found["rate"].value.details[f"rate_{unit}"] for unit in range(3)] == pytest.approx(rate.tolist(), abs=1e-6)
    curve = found["distortion"].value.curve.columns
    assert curve["sharpness"] == list(SHARPNESS)
    assert curve["rate"] == sorted(curve["rate"])
    assert curve["distortion"] == sorted(curve["distortion"], reverse=True)
    assert (curve["rate"][0], curve["rate"][-1]) == pytest.approx((0, found["rate"].value.value), rel=1e-5)
    noise = 4 * (math.log(SIGMA) + math.log(2 * math.pi) / 2)
    power = float(drawn().square().sum(1).mean() + WEIGHT.square().sum()) / (2 * SIGMA**2)
    assert curve["distortion"][0] == pytest.approx(noise + power, rel=0.1)
    assert found["distortion"].value.value == pytest.approx(curve["distortion"][-1], rel=0.05)


def test_units_that_say_nothing_are_not_active():
    score = measured(ActiveUnits())["active_units"]
    assert score.value.value == 2
    assert set(score.value.draws) == {2.0}
    assert score.value.details["variance_2"] == score.value.details["kl_2"] == 0
    assert score.value.details["variance_0"] == pytest.approx(4 / (4 + SIGMA**2), rel=0.2)
    assert score.protocol.settings == "ActiveUnits(split='val', threshold=0.01): of 3 units"
    assert measured(ActiveUnits(threshold=1.2))["active_units"].value.value == 0
    with pytest.raises(ValueError, match="threshold must be above 0, got 0"):
        ActiveUnits(threshold=0)


def test_latents_of_the_exact_posterior_are_together_those_of_the_prior():
    """Then the gap is that of finitely many images alone; the same latents moved by 2 are 2 nats away in one unit."""
    found = measured(AggregatePosteriorGap(), data=images(2000, 500))
    assert 0 <= found["aggregate_gap"].value.value < 0.1
    rate = measured(RateDistortion(curve=False), data=images(2000, 500))["rate"].value.value
    both = found["aggregate_gap"].value.value + found["index_information"].value.value
    assert both == pytest.approx(rate, abs=0.08)

    class Moved(Linear):
        def posterior(self, image, condition=UNCONDITIONAL):
            q = super().posterior(image)
            return DiagonalGaussian(q.mean + torch.tensor([0.0, 0, 2]), q.log_variance)

    moved = measured(AggregatePosteriorGap(), Moved(), images(2000, 500))
    assert moved["aggregate_gap"].value.value == pytest.approx(found["aggregate_gap"].value.value + 2, abs=0.1)
    assert moved["index_information"].value.value == pytest.approx(found["index_information"].value.value, abs=1e-6)


def test_narrow_posteriors_tell_every_image_apart():
    found = measured(AggregatePosteriorGap(), Linear(1e-3))
    assert found["index_information"].value.value == pytest.approx(math.log(400), rel=1e-6)
    assert found["index_information"].value.details == {"most": math.log(400), "images": 400}
    assert measured(AggregatePosteriorGap(num=100), Linear(1e-3))["index_information"].value.details["images"] == 100


@pytest.mark.parametrize("metric", [ImportanceLikelihood, ActiveUnits, RateDistortion, AggregatePosteriorGap])
def test_a_model_without_latents_is_refused(metric):
    with pytest.raises(TypeError, match=f"{metric.__name__} measures .*, got object"):
        metric().require(object())
    with pytest.raises(ValueError, match="split must be one of train, val, test, got 'all'"):
        metric("all")
