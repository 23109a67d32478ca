"""Importance-weighted bounds rise to the likelihood, and both estimators of their gradient agree."""

from itertools import pairwise

import pytest
import torch

from genexp.latents.importance import ImportanceWeighted, mean_weight
from genexp.tensors import BatchNoise
from linear_gaussian import LATENT, exact_encoder, log_likelihood, model_of, orthogonal

STD = 0.7


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def off(**settings):
    """A model whose encoder is wrong in mean and variance, and what its bounds fall short of."""
    weight = orthogonal()
    encoder = exact_encoder(weight, STD)
    with torch.no_grad():
        encoder.weight *= 0.8
        encoder.log_variance += 0.4
    image = torch.randn(4, 1, 2, 3).double()
    return model_of(weight, STD, encoder, **settings), image, log_likelihood(weight, STD, image)


@torch.no_grad()
def test_the_bound_rises_with_the_latents_to_the_likelihood():
    model, image, expected = off()
    weights = model.log_weights({"image": image}, BatchNoise(image), 48_000)
    gaps = []
    for count in (1, 5, 50, 1000):
        bounds = mean_weight(weights.unflatten(1, (-1, count)).flatten(0, 1)).unflatten(0, (4, -1))
        gaps.append((expected - bounds.mean(1)).mean().item())
    assert all(tight < loose - 0.002 for loose, tight in pairwise(gaps)), gaps
    assert abs(gaps[-1]) < 0.003
    elbo = model._evidence(model.observe({"image": image}, BatchNoise(image)))
    assert gaps[0] == pytest.approx((expected - (weights.mean(1))).mean().item())
    assert elbo.kl.shape == (4,)


def gradients(model, image, noise):
    """Of every weight, for the mean loss over images with `noise` (B, K, D)."""
    model.zero_grad()
    model._loss({"image": image, "noise": noise}, 1.0)["loss"].backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


def test_both_estimators_agree_in_the_decoder_exactly_and_in_the_encoder_in_the_mean():
    bounds = [ImportanceWeighted(8, name) for name in ("standard", "doubly_reparameterised")]
    (standard, image, _), (doubly, *_) = (off(bound=bound) for bound in bounds)
    found = []
    for _ in range(200):
        noise = torch.randn(4, 8, LATENT).double()
        found.append([gradients(model, image, noise) for model in (standard, doubly)])
        torch.testing.assert_close(*(each["decoder.weight"] for each in found[-1]), rtol=1e-9, atol=1e-12)
    for name in ("encoder.weight", "encoder.log_variance"):
        first, second = (torch.stack([pair[side][name] for pair in found]) for side in (0, 1))
        error = (first - second).std(0) / len(found) ** 0.5
        assert ((first - second).mean(0).abs() < 4.5 * error).all()
        assert (error > 1e-6).any()
        assert second.var(0).sum() < first.var(0).sum()


def test_the_doubly_reparameterised_loss_has_the_value_of_the_bound():
    model, image, _ = off(bound=ImportanceWeighted(5, "doubly_reparameterised"))
    terms = model._loss({"image": image, "noise": torch.randn(4, 5, LATENT).double()}, 1.0)
    assert terms["loss"].item() == pytest.approx(-terms["bound"].item(), rel=1e-9)
    assert terms["bound"] > terms["elbo"]


def test_one_latent_is_the_sampled_elbo():
    model, image, _ = off(bound=ImportanceWeighted(1))
    batch = {"image": image, "noise": torch.randn(4, LATENT).double()}
    evidence = model._evidence(batch)
    torch.testing.assert_close(model.bound.held_out(evidence)["bound"], evidence.log_weights[:, 0])


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="samples must be at least 1 latent an image, got 0"):
        ImportanceWeighted(0)
    with pytest.raises(ValueError, match="estimator must be one of standard, doubly_reparameterised, got 'dreg'"):
        ImportanceWeighted(5, "dreg")
    with pytest.raises(ValueError, match=r"free_bits must be null with bound ImportanceWeighted, got 0\.1"):
        off(bound=ImportanceWeighted(5), free_bits=0.1)
