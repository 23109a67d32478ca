"""The perceptual penalty of a generator, alone and in the models that have it."""

import pytest
import torch
from torch import nn

from genexp.adversarial.perceptual_penalty import PerceptualPenalty
from genexp.adversarial.regularisers import Penalties
from genexp.adversarial.steps import GeneratorStep
from genexp.conditioning.pictures import Picture
from genexp.losses.perceptual import PerceptualLoss
from genexp.networks.dcgan import DCGANGenerator
from genexp.networks.rrdb import Rrdb
from genexp.networks.shipped_networks import TrainedEncoder


def upscaler():
    return Rrdb(32, 3, {"source": Picture((3, 8, 8))}, depth=1, width=4, growth=2)


def test_it_is_the_weighted_distance_of_maps_and_moves_the_generator_alone():
    generator, encoder = upscaler(), TrainedEncoder("cifar_vgg", last="relu2_1")
    penalties = Penalties(
        "generator_penalties", {"perceptual": PerceptualPenalty(encoder, ["relu1_1", "relu2_1"], 0.5, 2)}, generator
    )
    real, picture = torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 3, 8, 8) * 2 - 1
    latent = torch.zeros(2, 1)
    fake = generator(latent, {"source": picture})
    (value,) = penalties.terms(GeneratorStep(generator, nn.Identity(), latent, real, fake), {}).values()
    assert torch.allclose(value, 0.5 * PerceptualLoss(encoder, ["relu1_1", "relu2_1"])(fake, real))
    value.mean().backward()
    assert generator.conv_first.weight.grad.abs().max() > 0
    assert penalties.state_dict() == {}
    assert not list(penalties.parameters())
    assert not any(module.training for module in penalties.train().with_state["perceptual"].loss.features.modules())


def test_a_generator_that_is_told_no_picture_is_refused():
    penalty = PerceptualPenalty(TrainedEncoder("cifar_vgg"), ["relu1_1"])
    with pytest.raises(ValueError, match="must be without perceptual for a generator that is told no picture"):
        Penalties("generator_penalties", {"perceptual": penalty}, DCGANGenerator(32, 3))
