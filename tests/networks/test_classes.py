"""Mixtures of classes: a share of one is that class, and shares act on class vectors as weights do."""

import pytest
import torch

from genexp.conditioning.base import Conditioning
from genexp.networks.autoencoder import ConvDecoder
from genexp.networks.classes import ClassTable
from genexp.networks.dcgan import DCGANGenerator
from genexp.networks.equalised import equalised
from genexp.networks.mlp import MLPGenerator
from genexp.networks.r3gan import R3GANGenerator
from genexp.networks.residual_gan import ResidualGenerator
from genexp.networks.stylegan2 import StyleGAN2Generator
from genexp.sampling.conditions import ClassShares
from genexp.sampling.latent import Latent
from genexp.sampling.visualisation import Pictures, mixes_classes
from genexp.tensors import IndexedNoise

GENERATORS = {
    "concatenated": lambda: DCGANGenerator(8, 1, 6, 4, num_classes=4, conditioning="latent"),
    "norm": lambda: DCGANGenerator(8, 1, 6, 4, num_classes=4, conditioning="norm"),
    "mlp": lambda: MLPGenerator((1, 8, 8), latent_size=6, width=8, depth=1, num_classes=4),
    "residual": lambda: ResidualGenerator(8, 1, 6, 4, num_classes=4, conditioning="shared", skip_latent=True),
    "stylegan2": lambda: StyleGAN2Generator(8, 1, 6, 6, 4, 8, depth=1, num_classes=4),
    "r3gan": lambda: R3GANGenerator(8, 1, latent_size=6, num_classes=4),
    "vae": lambda: ConvDecoder(1, 8, 6, 8, num_classes=4),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_share_of_one_is_the_class_and_a_mixture_is_another_image(name):
    torch.manual_seed(0)
    generator = GENERATORS[name]().eval()
    for parameter in generator.parameters():  # none may be as if it were not there, as zero vectors of classes are
        torch.nn.init.normal_(parameter, std=0.2)
    latent = torch.randn(4, 6 if name == "vae" else generator.latent_shape[0])
    label = torch.tensor([0, 3, 1, 2])
    asked = generator(latent, {"label": label})
    shares = torch.eye(4)[label]
    torch.testing.assert_close(generator(latent, {"label": shares}), asked)
    mixed = generator(latent, {"label": (shares + shares.roll(1, 0)) / 2})
    assert (mixed - asked).flatten(1).abs().amax(1).min() > 1e-6


@pytest.mark.parametrize("ready", [lambda table: table, equalised, torch.nn.utils.parametrizations.spectral_norm])
def test_shares_weigh_the_vectors_whatever_stands_on_the_weights(ready):
    table = ready(ClassTable(5, 3)).eval()
    shares = torch.rand(7, 5)
    torch.testing.assert_close(table(shares), shares @ table.weight)
    few = torch.rand(7, 4)  # a table with a vector for no class
    torch.testing.assert_close(table(few), few @ table.weight[:4])


class Told:
    """A latent decoder of a network."""

    def __init__(self, generator):
        self.generator, self.latent_shape = generator, generator.latent_shape
        self.conditioning = Conditioning.of(4, None)

    def decode(self, latent, condition):
        return self.generator(latent, condition)


def test_a_path_between_classes_keeps_its_noise_and_begins_and_ends_at_classes():
    torch.manual_seed(0)
    model = Told(GENERATORS["concatenated"]().eval())
    assert mixes_classes(model)
    pictures = Pictures(model, Latent(), 3, ClassShares((1, 1, 1, 1)), batch_size=4)
    grid = pictures.between_classes(rows=2, count=3, num_classes=4)
    assert (grid.columns, grid.across) == (3, ["0 %", "50 %", "100 %"])
    classes = [int(word) for words in grid.down for word in words.split() if word.isdigit()]
    assert sorted(classes) == [0, 1, 2, 3]
    latent = Latent().start(model, IndexedNoise(3, [0, 2]))
    for column, ends in ((0, classes[0::2]), (2, classes[1::2])):
        expected = model.decode(latent, {"label": torch.tensor(ends)})
        torch.testing.assert_close(grid.samples[column::3], expected)
