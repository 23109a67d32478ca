"""Every prior is a density, and its draws follow it, each from its own noise."""

from functools import partial

import pytest
import torch
from torch import nn

from genexp.flows.composed import Vector
from genexp.flows.coupling_layers import CouplingLayer
from genexp.flows.elementwise import Affine
from genexp.latents.choices import UniformChoices
from genexp.latents.gaussian import DiagonalGaussian
from genexp.latents.learned_priors import FlowPrior, GaussianMixture, VampPrior
from genexp.latents.posteriors import Diagonal
from genexp.latents.priors import StandardNormal
from genexp.networks.conditioners import MLPConditioner
from genexp.sampling.latent import Latent
from genexp.tensors import IndexedNoise
from linear_gaussian import LATENT, exact_encoder, model_of, orthogonal


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def encode(image):
    """Of an image of two pixels a Gaussian about twice their values."""
    return DiagonalGaussian(image.flatten(1) * 2, torch.full((len(image), 2), -1.5))


def flow(size=2):
    network = partial(MLPConditioner, width=8, depth=1)
    prior = FlowPrior(size, partial(Vector, block=partial(CouplingLayer, element=Affine(), network=network), depth=2))
    for parameter in prior.parameters():
        nn.init.normal_(parameter, std=0.4)
    return prior


def mixture():
    prior = GaussianMixture(2, 3)
    nn.init.normal_(prior.logits)
    nn.init.normal_(prior.log_variance, std=0.5)
    return prior


PRIORS = {
    "normal": lambda: StandardNormal(2),
    "mixture": mixture,
    "vamp": lambda: VampPrior(2, (1, 1, 2), 4),
    "flow": flow,
}


@pytest.mark.parametrize("name", PRIORS)
@torch.no_grad()
def test_a_prior_integrates_to_one_and_its_draws_follow_it(name):
    prior = PRIORS[name]()
    axis = torch.linspace(-9, 9, 361)
    places = torch.cartesian_prod(axis, axis)
    mass = prior.log_prob(places, encode).double().exp() * (axis[1] - axis[0]).double() ** 2
    assert mass.sum().item() == pytest.approx(1, abs=2e-3)
    drawn = prior.draw(IndexedNoise(0, range(6000)), encode).double()
    mean = (mass[:, None] * places).sum(0)
    square = (mass[:, None] * places.square()).sum(0)
    right = mass[places[:, 0] > places[:, 1]].sum()
    error = drawn.std(0) / 6000**0.5
    assert ((drawn.mean(0) - mean).abs() < 4.5 * error + 1e-3).all()
    spread = drawn.square().std(0) / 6000**0.5
    assert ((drawn.square().mean(0) - square).abs() < 4.5 * spread + 5e-3).all()
    assert (drawn[:, 0] > drawn[:, 1]).double().mean().item() == pytest.approx(right.item(), abs=0.03)


@pytest.mark.parametrize("name", [*PRIORS, "choices"])
@torch.no_grad()
def test_a_draw_is_made_of_its_own_row_of_the_noise(name):
    prior = UniformChoices(6, categories=3) if name == "choices" else PRIORS[name]()
    every = prior.draw(IndexedNoise(7, range(5)), encode)
    one = prior.draw(IndexedNoise(7, [3]), encode)
    torch.testing.assert_close(every[3:4], one, rtol=1e-6, atol=1e-6)
    assert len({tuple(row.tolist()) for row in every}) > 1


def test_a_model_is_drawn_from_by_its_own_prior():
    prior = GaussianMixture(LATENT, 2).double()
    with torch.no_grad():
        prior.mean.fill_(50.0)
    model = model_of(orthogonal(), 0.7, prior=prior).float()
    sampler, noise = Latent(), IndexedNoise(0, range(4))
    start = sampler.start(model, noise)
    assert (start > 40).all()
    torch.testing.assert_close(sampler.run(model, start, noise), model.decode(start))
    assert model.averaged_modules == ("encoder", "decoder", "prior")
    for name in ("truncation", "temperature"):
        with pytest.raises(ValueError, match=rf"{name} must be null for latents that are not N\(0, I\), got 0\.5"):
            Latent(**{name: 0.5}).require(model)
    Latent(truncation=0.5, temperature=0.5).require(model_of(orthogonal(), 0.7))


def test_the_bound_of_a_learned_prior_has_its_density_and_a_gradient():
    normal = GaussianMixture(LATENT, 1).double()
    with torch.no_grad():
        normal.mean.zero_()
    batch = {"image": torch.randn(5, 1, 2, 3).double(), "noise": torch.randn(5, 8, LATENT).double()}
    learned = model_of(orthogonal(), 0.7, prior=normal)
    plain = model_of(orthogonal(), 0.7)
    torch.testing.assert_close(learned._evidence(batch).log_weights, plain._evidence(batch).log_weights)
    learned._loss(batch, 1.0)["loss"].backward()
    assert normal.mean.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="free_bits must be null where units have no divergence"):
        model_of(orthogonal(), 0.7, prior=normal, free_bits=0.1)


def test_pseudo_inputs_learn_through_the_encoder():
    weight = orthogonal()
    prior = VampPrior(LATENT, (1, 2, 3), 4).double()
    model = model_of(weight, 0.7, exact_encoder(weight, 0.7), prior=prior)
    batch = {"image": torch.randn(5, 1, 2, 3).double(), "noise": torch.randn(5, LATENT).double()}
    evidence = model._evidence(batch)
    law = model.posterior(prior.raw.tanh())
    every = torch.stack([law.log_prob(latent.expand(4, -1)).logsumexp(0) for latent in evidence.latent[:, 0]])
    torch.testing.assert_close(evidence.log_p[:, 0], every - torch.tensor(4.0).double().log())
    model._loss(batch, 1.0)["loss"].backward()
    assert prior.raw.grad.abs().sum() > 0


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="components must be at least 1, got 0"):
        GaussianMixture(2, 0)
    with pytest.raises(ValueError, match="categories must be at least 2 and divide latent_size=6, got 5"):
        UniformChoices(6, 5)
    assert Diagonal(2).prior == StandardNormal(2).kind == "normal"
