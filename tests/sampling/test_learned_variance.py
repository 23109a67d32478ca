"""Ancestral sampling with a variance that the model learned: its ends, the steps taken, and guidance."""

import pytest
import torch

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.objective import Bound, WeightedError
from genexp.diffusion.prediction import Epsilon
from genexp.diffusion.schedules import Cosine
from genexp.diffusion.weighting import UniformEpsilon
from genexp.sampling.ddpm import DDPM
from genexp.sampling.guidance import ClassifierFree
from genexp.tensors import IndexedNoise


def model(share, variance="learned_range", num_classes=None):
    """A denoiser whose network says half of x_t is noise, more for higher labels, and gives the share."""

    def network(x_t, told, condition):
        network.calls, label = network.calls + 1, condition.get("label")
        output = 0.5 * x_t if label is None else (0.3 + 0.1 * label.view(-1, 1)) * x_t
        given = share if label is None else torch.where(label == 2, 1.0, share).view(-1, 1)
        return torch.cat([output, (2 * given - 1) * torch.ones_like(x_t)], 1) if variance == "learned_range" else output

    network.calls = 0
    objective = Bound() if variance == "learned_range" else WeightedError()
    parts = (network, Cosine(100), Epsilon(), UniformEpsilon(), (2,), Conditioning.of(num_classes, left_out=0.1))
    return NetworkDenoiser(*parts, variance=variance, objective=objective)


def drawn(denoiser, variance, condition=UNCONDITIONAL, **options):
    sampler, noise = DDPM(variance=variance, **options), IndexedNoise(0, range(4))
    return sampler.run(denoiser, sampler.start(denoiser, noise), noise, condition)


@pytest.mark.parametrize("steps", [None, 30, 7])
def test_at_its_ends_a_learned_variance_is_a_fixed_one_of_the_steps_that_are_taken(steps):
    for share, fixed in ((0.0, "fixed_small"), (1.0, "fixed_large")):
        expected = drawn(model(share, fixed), fixed, steps=steps)
        torch.testing.assert_close(drawn(model(share), "learned_range", steps=steps), expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(drawn(model(share), fixed, steps=steps), expected)


def test_guidance_moves_the_image_and_leaves_the_variance_that_of_the_label():
    condition, guided = {"label": torch.tensor([0, 1, 1, 0])}, ClassifierFree(3.0)
    expected = drawn(model(0.0, "fixed_small", 2), "fixed_small", condition, steps=9, guidance=guided)
    learned = model(0.0, num_classes=2)
    found = drawn(learned, "learned_range", condition, steps=9, guidance=guided)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert learned.network.calls == 18
    alone = model(0.0, num_classes=2)
    drawn(alone, "learned_range", condition, steps=9)
    assert alone.network.calls == 9


def test_a_variance_that_nothing_learned_is_refused():
    with pytest.raises(
        ValueError, match="variance must be one of fixed_small, fixed_large for a model that learned none"
    ):
        DDPM(variance="learned_range").require(model(0.0, "fixed_small"))
    with pytest.raises(
        ValueError, match="variance must be one of fixed_small, fixed_large, learned_range, got 'small'"
    ):
        DDPM(variance="small")
