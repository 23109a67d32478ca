"""The evidence lower bound is exact where it has a closed form."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch import nn

from genexp.conditioning.base import UNCONDITIONAL
from genexp.families.vae import VAE
from genexp.losses.reconstruction import Gaussian
from genexp.networks.autoencoder import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from genexp.ramps import Constant
from genexp.tensors import BatchNoise

LATENT = 3
SGD = partial(torch.optim.SGD, lr=1e-3)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class LinearEncoder(nn.Module):
    """The exact posterior of x = W z + std e with orthogonal columns of W: a linear mean and a constant variance."""

    def __init__(self, weight, std):
        super().__init__()
        precision = 1 + weight.square().sum(0) / std**2
        self.mean = weight / std**2 / precision
        self.log_variance = -precision.log()

    def forward(self, image, condition=UNCONDITIONAL):
        mean = image.flatten(1) @ self.mean
        return torch.cat([mean, self.log_variance.expand_as(mean)], dim=1)


class LinearDecoder(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, latent, condition=UNCONDITIONAL):
        return (latent @ self.weight.T).unflatten(1, (1, 2, 3))


def linear_gaussian(std=0.7):
    weight = torch.linalg.qr(torch.randn(6, LATENT).double())[0] * torch.tensor([2.0, 1.0, 0.3]).double()
    model = VAE(LinearEncoder(weight, std), LinearDecoder(weight), Gaussian(std).double(), LATENT, SGD)
    covariance = weight @ weight.T + std**2 * torch.eye(6).double()
    return model, torch.distributions.MultivariateNormal(torch.zeros(6).double(), covariance)


def exact_bound(model, image):
    """The expectation over the latent, exact for a linear Gaussian model: all sign vectors have its second moments."""
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=LATENT))).double()
    noise = signs.expand(len(image), *signs.shape)
    return model._evidence({"image": image, "noise": noise}).terms()["elbo"]


def test_the_bound_with_the_exact_posterior_is_the_log_likelihood():
    model, evidence = linear_gaussian()
    image = torch.randn(5, 1, 2, 3).double()
    torch.testing.assert_close(exact_bound(model, image), evidence.log_prob(image.flatten(1)), rtol=0, atol=1e-6)


def test_any_other_posterior_falls_short_by_its_kl_divergence():
    model, evidence = linear_gaussian()
    image = torch.randn(5, 1, 2, 3).double()
    model.encoder.log_variance = model.encoder.log_variance + 0.5
    gap = LATENT * (math.exp(0.5) - 1 - 0.5) / 2
    expected = evidence.log_prob(image.flatten(1)) - gap
    torch.testing.assert_close(exact_bound(model, image), expected, rtol=0, atol=1e-6)


def test_every_weight_of_the_exact_posterior_is_the_likelihood():
    """p(x, z) / q(z | x) is p(x) whatever z; with any other posterior the log of their mean is below it."""
    model, evidence = linear_gaussian()
    image = torch.randn(5, 1, 2, 3).double()
    weights = model.log_weights({"image": image}, BatchNoise(image), 7)
    expected = evidence.log_prob(image.flatten(1))
    torch.testing.assert_close(weights, expected[:, None].expand(5, 7), rtol=0, atol=1e-6)
    model.encoder.log_variance = model.encoder.log_variance + 0.5
    weights = model.log_weights({"image": image}, BatchNoise(image), 20_000)
    spread = weights.std(1)
    assert (spread > 0.3).all()
    off = weights.logsumexp(1) - math.log(20_000) - expected
    assert off.abs().max() < 0.05


def test_densities_that_the_loss_leaves_out_are_there_when_they_are_asked_for():
    model, _ = linear_gaussian()
    model.encoder.log_variance = model.encoder.log_variance + 0.5
    batch = {"image": torch.randn(5, 1, 2, 3).double(), "noise": torch.randn(5, LATENT).double()}
    later = model._evidence(batch)
    model.bound.weighs = True
    now = model._evidence(batch)
    for name in ("log_q", "log_p", "log_weights", "kl", "kl_per_unit", "drawn"):
        assert torch.equal(getattr(later, name), getattr(now, name)), name


def test_a_likelihood_of_several_numbers_a_value_is_given_them_by_the_decoder():
    class Spread(Gaussian):
        parameters_per_value = 2

        def pixel_nll(self, raw, image):
            mean, scale = raw.chunk(2, 1)
            return (mean - image).abs() + scale

        def mean(self, raw):
            return raw.chunk(2, 1)[0]

    for networks, shape in (((MLPEncoder, MLPDecoder), (2,)), ((ConvEncoder, ConvDecoder), (3, 8, 8))):
        sizes = {"shape": shape} if len(shape) == 1 else {"channels": 3, "image_size": 8}
        encoder, decoder = (network(**sizes, latent_size=LATENT, width=8) for network in networks)
        model = VAE(encoder, decoder, Spread(), LATENT, SGD)
        image = torch.rand(4, *shape)
        assert model.log_prob(model.observe({"image": image}, BatchNoise(image))).shape == (4,)
        assert model.decode(torch.zeros(4, LATENT)).shape == image.shape


def test_nats_grow_with_the_image_and_beta_keeps_its_meaning():
    """A mean over pixels anywhere would weight the KL divergence with the number of pixels."""

    class Blank(nn.Module):
        def forward(self, latent, condition=UNCONDITIONAL):
            return latent.new_zeros(len(latent), 1, self.size, self.size)

    class Fixed(nn.Module):
        def forward(self, image, condition=UNCONDITIONAL):
            return torch.tensor([[1.0, 0.0]]).expand(len(image), 2)

    decoder = Blank()
    model = VAE(Fixed(), decoder, Gaussian(1.0), 1, SGD, beta=Constant(3.0))
    for decoder.size in (4, 8):
        terms = model._loss({"image": torch.ones(2, 1, decoder.size, decoder.size), "noise": torch.zeros(2, 1)}, 3.0)
        reconstruction = decoder.size**2 * (0.5 + math.log(2 * math.pi) / 2)
        assert terms["reconstruction"].item() == pytest.approx(reconstruction, rel=1e-6)
        assert terms["kl"].item() == 0.5
        assert terms["loss"].item() == pytest.approx(reconstruction + 3 * 0.5, rel=1e-6)
        assert terms["elbo"].item() == pytest.approx(-reconstruction - 0.5, rel=1e-6)
