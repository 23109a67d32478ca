"""R3GAN: blocks that begin as the identity, activations of one size, sizes by a closed form."""

import pytest
import torch

from genexp.adversarial.frozen_buffers import coupling
from genexp.networks.batch_sight import MinibatchStd
from genexp.networks.r3gan import InvertedBottleneck, R3GANDiscriminator, R3GANGenerator


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_blocks_are_the_identity_at_first_and_their_branch_shrinks_with_the_depth_of_the_network():
    block = InvertedBottleneck(8, expansion=2, group_width=4, total=16)
    x = torch.randn(3, 8, 6, 6)
    assert torch.equal(block(x), x)
    sizes = []  # of the branch, with two layers scaled by 16^(-1/4) each

    for total in (1, 16):
        torch.manual_seed(1)
        block = InvertedBottleneck(8, expansion=2, group_width=4, total=total)
        with torch.no_grad():
            block.outer.weight.fill_(1.0)
        sizes.append(float((block(x) - x).detach().norm()))
    assert sizes[1] / sizes[0] == pytest.approx(16**-0.5)


def test_the_gain_keeps_the_mean_square_of_activations():
    block = InvertedBottleneck(256, expansion=2, group_width=512, total=1)
    x = torch.randn(4, 256, 16, 16)
    first = torch.nn.functional.leaky_relu(block.inner(x), 0.2).detach()
    second = torch.nn.functional.leaky_relu(block.grouped(first), 0.2)[:, :, 1:-1, 1:-1].detach()
    assert [float(each.square().mean()) for each in (x, first, second)] == pytest.approx([1, 1, 1], rel=0.1)


def test_images_and_features_begin_at_unit_size_and_each_is_one_sample_s():
    generator, discriminator = R3GANGenerator(16, 3, width=32), R3GANDiscriminator(16, 3, width=32)
    latent = torch.randn(8, 64)
    image = generator(latent).detach()
    assert 0.05 < float(image.square().mean()) < 2  # interpolation takes some of the variance
    torch.testing.assert_close(generator(latent[2:3]), image[2:3])
    noise = torch.randn(8, 3, 16, 16)
    torch.testing.assert_close(discriminator(noise)[2:3], discriminator(noise[2:3]))
    assert (coupling(generator), coupling(discriminator)) == (None, None)


def test_the_basis_is_combined_by_the_latent_and_its_class():
    generator = R3GANGenerator(8, 1, latent_size=4, width=8, group_width=4, num_classes=3)
    generator.body = torch.nn.Identity()
    generator.output = torch.nn.Identity()
    latent, label = torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0])
    told = torch.cat([latent, generator.embedding.weight[label]], 1)
    expected = (told @ generator.weights.weight.T)[:, :, None, None] * generator.basis
    torch.testing.assert_close(generator(latent, {"label": label}), expected)


def test_a_class_and_the_batch_enter_the_discriminator():
    discriminator = R3GANDiscriminator(8, 1, width=8, group_width=4, num_classes=3, diversity=MinibatchStd(2))
    image, label = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    scores = discriminator(image, {"label": label})
    assert not torch.isclose(discriminator(image, {"label": (label + 1) % 3}), scores).any()
    assert not torch.isclose(discriminator(image[[0, 2, 1, 3]], {"label": label[[0, 2, 1, 3]]})[0], scores[0])


def test_sizes_are_those_of_a_closed_form():
    def block(width):
        return 2 * width * width + 9 * 4 * 2 * width + 2 * width * width + 2 * 2 * width

    def count(module):
        return sum(p.numel() for p in module.parameters())

    generator = R3GANGenerator(8, 3, latent_size=5, width=6, blocks=2, group_width=4, num_classes=7)
    blocks = 2 * block(12) + 2 * block(6) + 12 * 6
    assert count(generator) == 7 * 5 + 16 * 12 + 10 * 12 + blocks + 3 * 6
    discriminator = R3GANDiscriminator(8, 3, width=6, blocks=2, group_width=4, num_classes=7)
    assert count(discriminator) == 3 * 6 + blocks + 16 * 12 + 12 + 1 + 7 * 12


@pytest.mark.parametrize("network", [R3GANGenerator, R3GANDiscriminator])
def test_wrong_arguments_are_refused(network):
    with pytest.raises(ValueError, match="image_size must be a power of two from 8 to 128, got 28"):
        network(28, 1)
    with pytest.raises(ValueError, match="blocks must be at least 1, got 0"):
        network(32, 1, blocks=0)
    with pytest.raises(ValueError, match="group_width must divide the 20 channels within blocks of 10, got 16"):
        network(8, 1, width=10, widest=10)
