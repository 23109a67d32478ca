"""Guidance by a style: the slope in closed form, nothing where it must do nothing, and styles that come nearer."""

import pytest
import torch
from PIL import Image
from torch import nn

from exact_denoisers import Gaussian
from genexp.conditioning.base import Conditioning
from genexp.diffusion.schedules import Cosine
from genexp.evaluation.protocol import describe
from genexp.losses.style import GramLoss, StatisticsLoss
from genexp.networks.shipped_networks import TrainedEncoder
from genexp.sampling.ddim import DDIM
from genexp.sampling.draw import draw
from genexp.sampling.style_guidance import StyleGuidance, TowardsStyle
from genexp.tensors import expand_to

SHAPE = (3, 8, 8)


class Pixels(nn.Module):
    """An encoder whose one layer is the image."""

    digest = "0" * 64

    def forward(self, image, layers):
        return dict.fromkeys(layers, image)


class Independent:
    """The exact posterior mean of pixels N(0, std^2) each."""

    conditioning, image_shape = Conditioning(), SHAPE

    def __init__(self, schedule, std=0.5):
        self.schedule, self.std = schedule, std

    def gain(self, t, x_t):
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, torch.float64))
        return alpha * self.std**2 / (alpha**2 * self.std**2 + sigma**2)

    def __call__(self, x_t, t, condition=None):
        return (self.gain(t, x_t) * x_t).to(x_t.dtype)


class Means:
    """Squared distance of channel means: a style loss with a slope that can be written down."""

    def describe(self, features):
        return features.mean((2, 3))

    def __call__(self, features, target):
        return (self.describe(features) - target).square().sum(1)


def test_the_slope_is_the_covariance_times_that_of_the_clean_image():
    schedule, style = Cosine(), torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    model, t = Independent(schedule), torch.tensor([100, 500, 900])
    x_t = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    guided = TowardsStyle(Pixels(), Means(), ["image"], style, 0.2)(model)(x_t, t)
    m = model(x_t, t)
    pixels = SHAPE[1] * SHAPE[2]
    slope = 3 * pixels * 2 * (m.mean((2, 3), keepdim=True) - 0.5) / pixels / (3 * 0.25)
    _, sigma = (expand_to(level, x_t) for level in schedule(t, torch.float64))
    alpha, _ = (expand_to(level, x_t) for level in schedule(t, torch.float64))
    covariance = model.std**2 * sigma**2 / (alpha**2 * model.std**2 + sigma**2)
    torch.testing.assert_close(guided, m - 0.2 * covariance * slope)
    assert not guided.requires_grad


def test_scale_zero_is_the_model_bit_for_bit():
    model, x_t, t = Independent(Cosine()), torch.randn(2, *SHAPE).double(), torch.tensor([10, 900])
    towards = TowardsStyle(Pixels(), GramLoss(), ["image"], torch.ones(1, 3, 4, 4), 0.0)
    assert torch.equal(towards(model)(x_t, t), model(x_t, t))


def test_what_is_drawn_comes_nearer_to_the_style(tmp_path):
    Image.effect_noise((40, 40), 80).convert("RGB").save(tmp_path / "style.png")
    encoder, distances = TrainedEncoder("cifar_vgg", "relu2_1"), []
    for scale in (0.0, 0.1, 0.5):
        guidance = StyleGuidance(
            encoder, StatisticsLoss(), ["relu1_1", "relu2_1"], str(tmp_path / "style.png"), 16, scale
        )
        drawn = draw(Independent(Cosine()), DDIM(12, guidance=guidance), range(4), 0)["image"]
        distances.append(float(guidance._towards.distance(drawn.float()).mean()))
    assert distances[2] < distances[1] < 0.9 * distances[0]
    told = describe(DDIM(12, guidance=guidance))
    assert f"digest={guidance.digest!r}" in told
    assert "style='style.png'" in told


def test_what_does_not_fit_is_told():
    towards = TowardsStyle(Pixels(), GramLoss(), ["image"], torch.ones(1, 3, 4, 4), 1.0)
    with pytest.raises(ValueError, match=r"guidance by a style needs images of 1 or 3 channels, got \(2,\)"):
        towards(Gaussian(Cosine(), [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="scale must be at least 0, got -1"):
        TowardsStyle(Pixels(), GramLoss(), ["image"], torch.ones(1, 3, 4, 4), -1.0)
    with pytest.raises(ValueError, match="layers must name at least one layer, got none"):
        TowardsStyle(Pixels(), GramLoss(), [], torch.ones(1, 3, 4, 4), 1.0)
