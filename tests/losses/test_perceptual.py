"""The distance of feature maps: its closed form on a known encoder, its gradients, and what it refuses."""

import pytest
import torch
from torch import nn

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.latents.distances import Perceptual
from genexp.losses.perceptual import PerceptualLoss
from genexp.networks.shipped_networks import TrainedEncoder


class Scaled(nn.Module):
    """Two maps: the image twice, and minus three times its mean over the positions of 2 x 2."""

    names = ("double", "small")
    digest = "0"

    def forward(self, image, layers):
        maps = {"double": 2 * image, "small": -3 * nn.functional.avg_pool2d(image, 2)}
        return {layer: maps[layer] for layer in layers}


@pytest.mark.parametrize(("power", "expected"), [(1, 2 * 0.5 + 3 * 0.5), (2, (2 * 0.5) ** 2 + (3 * 0.5) ** 2)])
def test_the_distance_is_the_sum_over_layers_of_mean_powers(power, expected):
    loss = PerceptualLoss(Scaled(), ["double", "small"], power)
    image = torch.rand(3, 1, 8, 8) - 0.5
    assert torch.allclose(loss(image + 0.5, image), torch.full((3,), expected), rtol=1e-5)
    assert torch.equal(loss(image, image), torch.zeros(3))


def test_other_sizes_are_brought_to_the_one_asked_for():
    loss = PerceptualLoss(Scaled(), ["double"], image_size=4)
    assert loss(torch.ones(1, 3, 16, 8), torch.zeros(1, 3, 16, 8)).item() == pytest.approx(4)


def test_images_get_a_gradient_and_the_network_none():
    loss = PerceptualLoss(TrainedEncoder("cifar_vgg"), ["relu1_1", "relu2_2"], 1).train()
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    loss(image, torch.ones(1, 3, 32, 32)).sum().backward()
    assert image.grad.abs().max() > 0
    assert loss.state_dict() == {}
    assert not list(loss.parameters())
    assert not loss.features.training


def test_a_reconstruction_takes_another_encoder_at_its_own_size():
    distance = Perceptual(["double"], pixels=0.0, features=Scaled(), image_size=None)
    raw, image = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.5)
    assert torch.allclose(distance.of_images(raw, image), torch.ones(2))
    shipped = Perceptual(["relu1_1"])
    expected = PerceptualLoss(TrainedEncoder(), ["relu1_1"], image_size=32)(raw, image)
    assert torch.equal(shipped.of_images(raw, image), expected)


def test_a_restoration_adds_it_and_keeps_it_out_of_its_checkpoint():
    small = ["model.generator.depth=2", "model.generator.width=4", "data.image_size=16"]
    maps = ["+model/picture_loss@model.losses.perceptual=perceptual", "model.losses.perceptual.weight=0.5"]
    model = build(compose("train", ["experiment=denoising/photographs", *small, *maps]).model)
    terms = model.validate_batch({"image": torch.rand(2, 1, 16, 16) * 2 - 1})
    assert terms["val/perceptual"] > 0
    assert terms["val/loss"].item() == pytest.approx((terms["val/pixel"] + 0.5 * terms["val/perceptual"]).item())
    assert {name.split(".")[0] for name in model.state_dict()} == {"generator"}
    moved = {each.dtype for each in model.to(torch.float64).networks.buffers()}
    assert moved == {torch.float64}  # it follows the model


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": ["relu9_9"]}, r"layers must be a list of double, small, got \['relu9_9'\]"),
        ({"layers": []}, "layers must be a list of double, small"),
        ({"layers": "double"}, "layers must be a list of double, small, got double"),
        ({"weight": -1.0}, "weight must be at least 0, got -1.0"),
        ({"power": 3}, "power must be 1 or 2, got 3"),
        ({"image_size": 0}, "image_size must be at least 1, or null, got 0"),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        PerceptualLoss(Scaled(), **{"layers": ["double"]} | options)
