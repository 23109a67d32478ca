"""Latents from a flow, or a second VAE, that is fitted to encoded training images."""

import pytest
import torch

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.contracts import FittedSampler, Sampler
from genexp.evaluation.protocol import describe
from genexp.sampling.latent_flow import LatentFlow
from genexp.sampling.latent_second_stage import LatentSecondStage
from genexp.tensors import IndexedNoise

QUICK = {"depth": 4, "width": 32, "steps": 250, "learning_rate": 5e-3}


class Identity:
    """Encodes and decodes by doing nothing."""

    latent_shape, conditioning = (2,), Conditioning()

    def decode(self, latent, condition=UNCONDITIONAL):
        return latent

    def encode(self, image, condition=UNCONDITIONAL):
        return image

    def latents(self, batch, noise):
        return batch["image"]


def banana(count, seed):
    """A curved density whose covariance is diagonal, so that a Gaussian cannot tell it from an ellipse."""
    normal = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return torch.stack([3 * normal[:, 0], normal[:, 0].square() + 0.2 * normal[:, 1] + 5], 1)


def batches(points, size):
    return [{"image": part} for part in points.split(size)]


KINDS = {
    "flow": lambda **settings: LatentFlow(**QUICK | settings),
    "second_stage": lambda **settings: LatentSecondStage(
        **{"width": 64, "steps": 500, "learning_rate": 5e-3} | settings
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    sampler = KINDS[request.param]()
    sampler.fit(Identity(), batches(banana(2000, 0), 500))
    return sampler


def test_the_flow_follows_a_density_that_no_gaussian_does(fitted):
    drawn = fitted.start(Identity(), IndexedNoise(0, range(1000)))
    residual = drawn[:, 1] - (drawn[:, 0] / 3).square() - 5
    curved, off = (0.6, 0.4) if isinstance(fitted, LatentFlow) else (1.0, 0.8)  # a bound is short of the likelihood
    assert residual.std() < curved  # 0.2 of the data, 1.4 of the Gaussian with their covariance
    target = banana(2000, 1)
    torch.testing.assert_close(drawn.mean(0), target.mean(0), atol=0.3, rtol=0)
    torch.testing.assert_close(drawn.std(0), target.std(0), atol=off, rtol=0)


def test_a_draw_is_made_of_its_own_row_and_a_fit_of_its_seed_alone(fitted):
    every = fitted.start(Identity(), IndexedNoise(3, range(5)))
    torch.testing.assert_close(fitted.start(Identity(), IndexedNoise(3, [4])), every[4:])
    kind = KINDS["flow" if isinstance(fitted, LatentFlow) else "second_stage"]
    first, again, other = (kind(steps=5, seed=seed) for seed in (0, 0, 1))
    first.fit(Identity(), batches(banana(100, 0), 50))
    torch.manual_seed(99)
    again.fit(Identity(), batches(banana(100, 0), 30))
    other.fit(Identity(), batches(banana(100, 0), 50))
    draws = [each.start(Identity(), IndexedNoise(3, range(5))) for each in (first, again, other)]
    assert draws[0].equal(draws[1])
    assert not draws[0].equal(draws[2])


def test_it_is_a_sampler_that_learns_and_tells_its_settings(fitted):
    assert isinstance(fitted, Sampler)
    assert isinstance(fitted, FittedSampler)
    assert describe(LatentFlow()) == (
        "LatentFlow(batch_size=256, depth=5, learning_rate=0.002, seed=0, steps=1000, width=64)"
    )
    with pytest.raises(RuntimeError, match="LatentFlow must be fitted to training images before it draws"):
        LatentFlow().start(Identity(), IndexedNoise(0, range(2)))
    with pytest.raises(TypeError, match="LatentFlow needs a model that encodes images, got object"):
        LatentFlow().require(object())
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        LatentFlow(steps=0)
    with pytest.raises(ValueError, match="LatentFlow needs at least 2 training images, got 1"):
        LatentFlow().fit(Identity(), batches(banana(1, 0), 1))
    bad = torch.tensor([[1.0, float("nan")]] * 3)
    with pytest.raises(ValueError, match="latents of the training images must be finite"):
        LatentFlow().fit(Identity(), batches(bad, 3))
