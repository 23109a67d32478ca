"""Bounds of all kinds against closed forms, Monte Carlo and enumeration."""

import itertools
import math

import pytest
import torch
from torch import nn

from genexp.latents.bounds import Elbo
from genexp.latents.capacity import Capacity
from genexp.latents.decomposed import TotalCorrelation
from genexp.latents.discrepancy import InverseMultiquadratic, MaximumMeanDiscrepancy, RadialBasis, discrepancy
from genexp.latents.factors import FactorDiscriminator
from genexp.latents.gaussian import DiagonalGaussian
from genexp.latents.posteriors import Deterministic
from genexp.latents.regularised import Regularised
from genexp.networks.latent_discriminator import LatentDiscriminator
from genexp.ramps import Linear
from genexp.tensors import BatchNoise
from linear_gaussian import LATENT, PIXELS, Decoder, Encoder, log_likelihood, model_of, orthogonal


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def images(count=5):
    return torch.randn(count, 1, 2, 3).double()


# The evidence lower bound


def test_a_trained_linear_vae_reaches_the_likelihood_of_probabilistic_pca():
    """Tipping and Bishop (1999): W = U (L - s^2 I)^(1/2) of the covariance's largest eigenvalues is most likely."""
    std = 0.5
    data = images(200) * torch.tensor([2.0, 1.5, 1.0, 0.5, 0.4, 0.3]).double().view(1, 1, 2, 3)
    flat = data.flatten(1)
    values, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
    best = vectors[:, -LATENT:] * (values[-LATENT:] - std**2).sqrt()
    exact = log_likelihood(best, std, data).mean().item()
    start = torch.randn(PIXELS, LATENT).double()
    model = model_of(start, std, Encoder(0.1 * start.clone(), torch.zeros(LATENT).double()))
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=LATENT))).double()
    batch = {"image": data, "noise": signs.expand(len(data), *signs.shape)}  # the expectation over the latent, exactly
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=500, line_search_fn="strong_wolfe", tolerance_change=1e-12
    )

    def closure():
        optimizer.zero_grad()
        loss = model._loss(batch, 1.0)["loss"]
        loss.backward()
        return loss

    optimizer.step(closure)
    bound = model._loss(batch, 1.0)["elbo"].item()
    assert bound == pytest.approx(exact, abs=1e-5)


# Capacity


def test_capacity_draws_every_image_to_so_many_nats_which_rise():
    model = model_of(orthogonal(), 0.7, bound=Capacity(Linear(0.0, 4.0, 100), gamma=10.0))
    evidence = model._evidence({"image": images(), "noise": torch.randn(5, LATENT).double()})
    for seen, nats in ((0, 0.0), (50, 2.0), (1000, 4.0)):
        terms = model.bound.loss(evidence, 0.5, seen)
        expected = evidence.reconstruction[:, 0] + 5.0 * (evidence.kl - nats).abs()
        torch.testing.assert_close(terms["loss"], expected)
        assert terms["capacity"].unique().tolist() == [nats]
    with pytest.raises(ValueError, match=r"gamma must not be negative, got -1\.0"):
        Capacity(gamma=-1.0)


# Total correlation


def batch_of(count=6):
    law = DiagonalGaussian(torch.randn(count, LATENT).double(), torch.randn(count, LATENT).double() / 2)
    latent, log_q = law.sampled(torch.randn(count, LATENT).double())
    prior = DiagonalGaussian(torch.zeros_like(latent), torch.zeros_like(latent))
    return law, latent, log_q, prior.log_prob(latent)


@pytest.mark.parametrize("bound", [TotalCorrelation(), TotalCorrelation(sampling="stratified", images=50)])
def test_the_three_parts_add_up_to_the_divergence(bound):
    law, latent, log_q, log_p = batch_of()
    parts = bound.parts(law, latent, log_q, log_p)
    torch.testing.assert_close(sum(parts.values()), log_q - log_p)
    weights = bound._log_weights(6, 6, 0).exp()
    assert weights.sum(1).tolist() == pytest.approx([1.0] * 6)


def test_with_all_images_in_the_batch_the_aggregate_is_their_mixture():
    law, latent, log_q, log_p = batch_of()
    parts = TotalCorrelation().parts(law, latent, log_q, log_p)
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(6).double()),
        torch.distributions.Independent(torch.distributions.Normal(law.mean, (law.log_variance / 2).exp()), 1),
    )
    torch.testing.assert_close(parts["mi"], log_q - mixture.log_prob(latent))


def test_stratified_sampling_has_the_aggregate_as_its_mean_over_batches():
    """Every ordered batch of 3 of 5 images that begins with the image itself is as likely as any other."""
    law, latent, *_ = batch_of(5)
    bound = TotalCorrelation(sampling="stratified", images=5)
    density = law.log_prob_per_unit(latent[:1, None]).sum(2).exp()[0]  # of the latent of image 0 by every image
    weights = bound._log_weights(3, 3, 0)[0].exp()
    estimates = [(weights * density[[0, *others]]).sum() for others in itertools.permutations(range(1, 5), 2)]
    assert torch.stack(estimates).mean().item() == pytest.approx(density.mean().item(), rel=1e-12)


def test_weights_of_total_correlation_weigh():
    model = model_of(orthogonal(), 0.7, bound=TotalCorrelation(tc=3.0, mi=0.5, dw=2.0))
    evidence = model._evidence({"image": images(), "noise": torch.randn(5, LATENT).double()})
    terms = model.bound.loss(evidence, 2.0, 0)
    penalty = 0.5 * terms["mi"] + 3.0 * terms["tc"] + 2.0 * terms["dw"]
    torch.testing.assert_close(terms["loss"], evidence.reconstruction[:, 0] + 2.0 * penalty)
    with pytest.raises(ValueError, match="images must be the number of training images with sampling stratified"):
        TotalCorrelation(sampling="stratified")
    with pytest.raises(ValueError, match="accumulate must be 1 with model/bound=beta_tc"):
        model.arrange(2)


def test_a_discriminator_of_shuffled_units_learns_the_total_correlation():
    """Of a Gaussian with correlation r the total correlation is -log(1 - r^2) / 2."""
    network = LatentDiscriminator(2, width=32, depth=2)
    bound = FactorDiscriminator(network, torch.optim.Adam, weight=2.0)
    optimizer, r = torch.optim.Adam(network.parameters(), lr=5e-3), 0.9
    factor = torch.linalg.cholesky(torch.tensor([[1.0, r], [r, 1.0]]))

    class Drawn:
        reconstruction, kl = torch.zeros(512, 1), torch.zeros(512)

        def __init__(self):
            self.latent = (torch.randn(512, 2) @ factor.T)[:, None]
            self.noise = bound.draw(BatchNoise(self.latent), None, None, 1)

    found = []
    for _ in range(300):
        optimizer.zero_grad()
        terms = bound.opponent_terms(drawn := Drawn())
        terms["loss"].mean().backward()
        optimizer.step()
        found.append(bound.loss(drawn, 1.0, 0)["tc"].mean().item())
    assert sum(found[-60:]) / 60 == pytest.approx(-math.log(1 - r**2) / 2, abs=0.12)
    assert 0.6 < terms["right"].mean() < 0.9
    torch.testing.assert_close(bound.loss(drawn, 1.0, 0)["loss"], 2 * bound.loss(drawn, 1.0, 0)["tc"])


# Discrepancy


def test_the_discrepancy_of_gaussians_is_its_closed_form_and_of_equal_ones_zero():
    """E exp(-|x - y|^2 / C) of x - y ~ N(m, v I) is (1 + 2 v / C)^(-D / 2) exp(-|m|^2 / (C + 2 v))."""
    dimensions, shift, std, count, rounds = 2, 0.7, 1.3, 300, 30
    width = 2.0 * dimensions

    def expected(distance, variance):
        return (1 + 2 * variance / width) ** (-dimensions / 2) * math.exp(-(distance**2) / (width + 2 * variance))

    kernel = RadialBasis()
    apart, equal = [], []
    for _ in range(rounds):
        x, y = torch.randn(2, count, dimensions).double()
        moved = y * std + torch.tensor([shift, 0.0])
        apart.append(discrepancy(kernel, x, moved))
        equal.append(discrepancy(kernel, x, y))
    closed = expected(0, 2) + expected(0, 2 * std**2) - 2 * expected(shift, 1 + std**2)
    for found, target in ((torch.stack(apart), closed), (torch.stack(equal), 0.0)):
        assert abs(found.mean() - target) < 4 * found.std() / rounds**0.5
    assert closed > 0.05


def test_kernels_are_means_over_their_widths():
    x, y = torch.zeros(1, 4), torch.ones(1, 4)
    assert InverseMultiquadratic([1.0])(x, y).item() == pytest.approx(8 / (8 + 4))
    assert InverseMultiquadratic([1.0, 0.5])(x, y).item() == pytest.approx((8 / 12 + 4 / 8) / 2)
    with pytest.raises(ValueError, match=r"scales must be a list of numbers above 0, got \[0\.0\]"):
        RadialBasis([0.0])
    with pytest.raises(ValueError, match="samples must have at least 2 rows each"):
        discrepancy(RadialBasis(), x, y)


def test_latents_of_a_batch_are_held_against_those_of_the_prior():
    model = model_of(orthogonal(), 0.7, bound=MaximumMeanDiscrepancy(RadialBasis(), weight=9.0, kl=0.5))
    batch = model._drawn({"image": images(8)})
    evidence = model._evidence(batch)
    terms = model.bound.loss(evidence, 2.0, 0)
    found = discrepancy(RadialBasis(), evidence.latent[:, 0], batch["bound/prior"])
    torch.testing.assert_close(terms["mmd"], found.expand(8))
    torch.testing.assert_close(terms["loss"], evidence.reconstruction[:, 0] + 2.0 * (9.0 * found + 0.5 * evidence.kl))


# Deterministic autoencoders


class Means(nn.Module):
    def forward(self, image, condition=None):
        return image.flatten(1)[:, :LATENT]


def deterministic(bound):
    return model_of(orthogonal(), 0.7, Means(), posterior=Deterministic(LATENT), bound=bound)


def test_the_gradient_penalty_is_the_norm_of_the_jacobian_in_the_mean():
    model = deterministic(Regularised("gradient", weight=2.0))
    assert isinstance(model.decoder, Decoder)
    found = model._loss(model._drawn({"image": images(20_000)}), 1.0)
    assert found["gradient"].item() == pytest.approx(model.decoder.weight.square().sum().item(), rel=0.05)
    expected = found["reconstruction"] + found["size"] + 2.0 * found["gradient"]
    torch.testing.assert_close(found["loss"], expected)
    found["loss"].backward()
    assert model.decoder.weight.grad.norm() > 0


def test_the_weights_of_the_decoder_are_held_small():
    model = deterministic(Regularised("weights", weight=2.0, latent=0.0))
    found = model._loss(model._drawn({"image": images()}), 0.5)
    assert found["weights"].item() == pytest.approx(model.decoder.weight.square().sum().item())
    torch.testing.assert_close(found["loss"], found["reconstruction"] + found["weights"])
    assert "elbo" not in found


def test_a_single_latent_has_no_density():
    model = deterministic(Regularised())
    with pytest.raises(TypeError, match=r"density is asked of a model without one \(model\.posterior=Deterministic"):
        model.require_density()
    with pytest.raises(ValueError, match=r"posterior must be random for model\.bound=Elbo"):
        deterministic(Elbo())
    with pytest.raises(ValueError, match=r"kl must be 0 with posterior Deterministic, of one latent, got 0\.5"):
        deterministic(MaximumMeanDiscrepancy(RadialBasis(), kl=0.5))
    with pytest.raises(ValueError, match="posterior must be deterministic for bound Regularised"):
        model_of(orthogonal(), 0.7, bound=Regularised())
