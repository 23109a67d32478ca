"""Distances of images in the place of a likelihood."""

import pytest
import torch

from genexp.latents.distances import Perceptual, StructuralDissimilarity


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


DISTANCES = {
    "perceptual": lambda **weights: Perceptual(**weights),
    "ms_ssim": lambda **weights: StructuralDissimilarity(2, 3, **weights),
}


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_distance_is_zero_for_equal_images_and_has_finite_gradients_for_opposite_ones(name, channels):
    distance = DISTANCES[name](weight=2.0, pixels=0.5)
    image = torch.rand(3, channels, 8, 8) * 2 - 1
    torch.testing.assert_close(distance(image, image), torch.zeros(3), atol=1e-5, rtol=0)
    raw = (-image).requires_grad_()
    found = distance(raw, image)
    pixels = 0.5 * (2 * image).square().flatten(1).sum(1) / 2
    assert (found > pixels + 1).all()
    found.sum().backward()
    assert raw.grad.isfinite().all()
    weightless = DISTANCES[name](weight=0.0, pixels=0.5)
    torch.testing.assert_close(weightless(raw, image), pixels)


def test_a_distance_has_nothing_to_learn_nothing_to_save_and_no_levels():
    for make in DISTANCES.values():
        distance = make()
        assert not list(distance.parameters())
        assert not distance.state_dict()
        assert (distance.levels, distance.is_likelihood) == (None, False)
        distance.train()
        assert not any(module.training for module in getattr(distance, "network", torch.nn.Sequential()).children())
        assert distance.mean(torch.tensor([3.0])).item() == 1.0


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"weight must be above 0, or 0 beside pixels above it, got 0\.0 and 0\.0"):
        Perceptual(weight=0.0, pixels=0.0)
    with pytest.raises(ValueError, match=r"layers must be a list of conv1_1, .*, got \['relu9_9'\]"):
        Perceptual(["relu9_9"])
    with pytest.raises(ValueError, match=r"scales must lie in \[1, 5\], got 6"):
        StructuralDissimilarity(6)
    with pytest.raises(ValueError, match="window must be odd and at least 1, got 4"):
        StructuralDissimilarity(1, 4)
    with pytest.raises(ValueError, match="window must be at most 4 for 2 scales of such images, got 7"):
        StructuralDissimilarity(2, 7)(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
