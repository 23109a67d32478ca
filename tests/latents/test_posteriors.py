"""Every posterior's density is that of its draws, and every closed form of a divergence is its Monte Carlo value."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from genexp.flows.composed import Vector
from genexp.flows.coupling_layers import CouplingLayer
from genexp.flows.elementwise import Affine
from genexp.flows.masked_autoregressive import MaskedAutoregressive
from genexp.latents.choices import Categorical, UniformChoices
from genexp.latents.flowed import FlowPosterior, Planar, Radial
from genexp.latents.full_covariance import FullCovariance
from genexp.latents.importance import ImportanceWeighted
from genexp.latents.posteriors import Diagonal
from genexp.networks.conditioners import MaskedConditioner, MLPConditioner
from genexp.tensors import BatchNoise
from linear_gaussian import LATENT, PIXELS, log_likelihood, model_of, orthogonal


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def coupled(shape):
    """Couplings that are not the identity."""
    network = partial(MLPConditioner, width=8, depth=1)
    made = Vector(shape, partial(CouplingLayer, element=Affine(), network=network), depth=2).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.25)
    return made


def autoregressive(shape):
    """Masked autoregressive layers that are not the identity, told a context."""
    network = partial(MaskedConditioner, width=8, depth=1, context=2)
    made = Vector(shape, partial(MaskedAutoregressive, element=Affine(), network=network), depth=2).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.25)
    return made


POSTERIORS = {
    "diagonal": Diagonal,
    "full_covariance": FullCovariance,
    "planar": partial(Planar, depth=3),
    "radial": partial(Radial, depth=3),
    "flow": partial(FlowPosterior, transform=coupled),
    "iaf": partial(FlowPosterior, transform=autoregressive, context=2),
}


@pytest.mark.parametrize("name", POSTERIORS)
def test_the_density_of_draws_is_that_of_their_noise_by_autograds_jacobian(name):
    posterior = POSTERIORS[name](3)
    law = posterior.law(torch.randn(4, posterior.numbers).double() * 1.5)
    noise = torch.randn(4, 3).double()
    latent, log_q = law.sampled(noise)
    torch.testing.assert_close(law.rsample(noise), latent)
    jacobian = torch.autograd.functional.jacobian(law.rsample, noise)
    each = torch.stack([jacobian[i, :, i] for i in range(4)])
    sign, log_det = torch.linalg.slogdet(each)
    assert (sign > 0).all()
    base = -(noise.square() + math.log(2 * math.pi)).sum(1) / 2
    torch.testing.assert_close(log_q, base - log_det)
    if posterior.explicit:
        torch.testing.assert_close(
            posterior.density(torch.zeros(4, posterior.numbers).double(), latent),
            -(latent.square() + math.log(2 * math.pi)).sum(1) / 2,
        )


@pytest.mark.parametrize("kind", [Planar, Radial])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_maps_are_invertible_whatever_the_encoder_says(kind, scale):
    """Their determinants are positive everywhere, so that they cannot fold."""
    posterior = kind(2, depth=1)
    numbers = torch.randn(2000, posterior.of_a_step) * scale
    latent = (torch.randn(2000, 2) * 5).requires_grad_()
    after, log_det = posterior.step(latent, numbers)
    assert log_det.isfinite().all()
    gradients = [torch.autograd.grad(after[:, i].sum(), latent, retain_graph=True)[0] for i in range(2)]
    assert torch.linalg.det(torch.stack(gradients, 1).double()).min() > -1e-4
    after.sum().backward()
    assert latent.grad.isfinite().all()


def test_the_divergence_of_a_full_gaussian_is_that_of_torch_and_of_monte_carlo():
    posterior = FullCovariance(3)
    parameters = torch.randn(4, posterior.numbers).double()
    law = posterior.law(parameters)
    full = torch.distributions.MultivariateNormal(law.mean, scale_tril=law.factor)
    prior = torch.distributions.MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    torch.testing.assert_close(law.kl(), torch.distributions.kl_divergence(full, prior))
    draws = [law.sampled(torch.randn(4, 3).double()) for _ in range(1500)]
    ratios = torch.stack([log_q - prior.log_prob(latent) for latent, log_q in draws])
    assert ((ratios.mean(0) - law.kl()).abs() < 4 * ratios.std(0) / len(draws) ** 0.5).all()
    torch.testing.assert_close(posterior.density(parameters, draws[0][0]), draws[0][1])


class Numbers(nn.Module):
    """A linear encoder of any count."""

    def __init__(self, numbers):
        super().__init__()
        self.layer = nn.Linear(PIXELS, numbers).double()

    def forward(self, image, condition=None):
        return self.layer(image.flatten(1)) / 2


@pytest.mark.parametrize("name", POSTERIORS)
def test_weights_average_to_the_likelihood_by_any_posterior(name):
    posterior = POSTERIORS[name](LATENT)
    weight, std = orthogonal(), 1.0
    model = model_of(weight, std, Numbers(posterior.numbers), posterior=posterior)
    image = torch.randn(3, 1, 2, 3).double()
    with torch.no_grad():
        weights = model.log_weights({"image": image}, BatchNoise(image), 20_000)
    relative = (weights - log_likelihood(weight, std, image)[:, None]).exp()
    assert ((relative.mean(1) - 1).abs() < 4.5 * relative.std(1) / 20_000**0.5).all()
    terms = model._loss(model._drawn({"image": image}), 1.0)
    terms["loss"].backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in model.parameters())


# Choices


def choices(**settings):
    posterior = Categorical(6, categories=3, **settings)
    return posterior, torch.tensor([[2.0, 0.0, -1.0, 0.5, 0.5, 0.5]]).double()


def test_choices_are_drawn_as_likely_as_they_are_and_their_divergence_is_enumerated():
    posterior, logits = choices()
    posterior.eval()
    law = posterior.law(logits)
    noise = posterior.draw(BatchNoise(torch.zeros(1)), 20_000)[0]
    latent, log_q = posterior.law(logits.expand(20_000, -1)).sampled(noise)
    probability = logits.unflatten(1, (2, 3)).softmax(2)[0]
    assert set(latent.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(latent.mean(0).view(2, 3), probability, atol=0.015, rtol=0)
    torch.testing.assert_close(log_q, (latent.view(-1, 2, 3) * probability.log()).sum((1, 2)))
    expected = (probability * (probability * 3).log()).sum(1)
    torch.testing.assert_close(law.kl_per_unit()[0], expected)
    torch.testing.assert_close(law.kl()[0], expected.sum())
    assert law.mean[0, :3].tolist() == [1.0, 0.0, 0.0]


def test_relaxed_choices_have_gradients_and_near_choices_at_low_temperature():
    noise = torch.rand(1, 2, 3).double()
    for temperature, far in ((0.05, 0.0), (2.0, 0.1)):
        posterior, logits = choices(temperature=temperature)
        logits.requires_grad_()
        latent = posterior.law(logits).rsample(noise)
        torch.testing.assert_close(latent.view(2, 3).sum(1), torch.ones(2).double())
        assert (1 - latent.view(2, 3).amax(1)).max() >= far
        (gradient,) = torch.autograd.grad(latent[0, 0], logits)
        assert gradient.isfinite().all()
    posterior, logits = choices(straight_through=True)
    logits.requires_grad_()
    through = posterior.law(logits).rsample(noise)
    assert set(through.unique().tolist()) == {0.0, 1.0}
    assert torch.autograd.grad(through[0, 0], logits)[0].abs().sum() > 0


def test_a_held_out_bound_of_choices_is_one():
    """Over all choices of one image the mean weight is p(x), and no bound lies above its log."""
    posterior, prior = Categorical(6, categories=3), UniformChoices(6, categories=3)
    decoder = torch.randn(PIXELS, 6).double()
    model = model_of(decoder, 1.0, Numbers(6), latent_size=6, posterior=posterior, prior=prior).eval()
    image = torch.randn(2, 1, 2, 3).double()
    every = torch.stack([torch.eye(3)[[i, j]].flatten() for i in range(3) for j in range(3)]).double()
    errors = image.flatten(1)[:, None] - every @ decoder.T
    log_p = -(errors.square() + math.log(2 * math.pi)).sum(2) / 2
    exact = log_p.logsumexp(1) - math.log(9)
    with torch.no_grad():
        weights = model.log_weights({"image": image}, BatchNoise(image), 20_000)
        elbo = torch.stack([model.log_prob(model.observe({"image": image}, BatchNoise(image))) for _ in range(500)])
    torch.testing.assert_close(weights.logsumexp(1) - math.log(20_000), exact, atol=0.03, rtol=0)
    assert (elbo.mean(0) < exact).all()


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="depth must be at least 1 map, got 0"):
        Planar(3, depth=0)
    with pytest.raises(ValueError, match=r"temperature must be above 0, got 0\.0"):
        Categorical(6, categories=3, temperature=0.0)
    with pytest.raises(ValueError, match="categories must be at least 2 and divide latent_size=6, got 4"):
        Categorical(6, categories=4)
    with pytest.raises(ValueError, match="prior must be of choices among 3 latents as posterior Categorical"):
        model_of(orthogonal(), 1.0, posterior=Categorical(LATENT, categories=3))
    chosen = {"posterior": Categorical(3, categories=3), "prior": UniformChoices(3, categories=3)}
    with pytest.raises(ValueError, match="bound must be of latents that have weights, got ImportanceWeighted"):
        model_of(orthogonal(), 1.0, **chosen, bound=ImportanceWeighted(2))
    with pytest.raises(ValueError, match="estimator must be standard for posterior Planar"):
        model_of(orthogonal(), 1.0, posterior=Planar(LATENT), bound=ImportanceWeighted(2, "doubly_reparameterised"))
    with pytest.raises(ValueError, match="free_bits must be null where units have no divergence in closed form"):
        model_of(orthogonal(), 1.0, posterior=FullCovariance(LATENT), free_bits=0.1)
    with pytest.raises(ValueError, match="transform must read context with context=4, got one that reads nothing"):
        FlowPosterior(LATENT, coupled, context=4)
