"""Residual networks: sizes and parameter counts, blocks as the papers write them, attention, parts of the latent."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from genexp.networks.attention import PooledAttention
from genexp.networks.feature_norms import FEATURE_NORMS, ClassBatchNorm, VectorBatchNorm
from genexp.networks.layer_weights import LayerWeights
from genexp.networks.residual_blocks import DownBlock, UpBlock
from genexp.networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from genexp.networks.residual_sizes import DISCRIMINATORS, GENERATORS

NORMAL = LayerWeights("normal")


def parameters(network):
    return sum(each.numel() for each in network.parameters())


def labels(count, classes=3):
    return {"label": torch.arange(count) % classes}


# Sizes


@pytest.mark.parametrize("image_size", GENERATORS)
def test_generator_and_discriminator_meet_at_every_size(image_size):
    torch.manual_seed(0)
    generator = ResidualGenerator(image_size, 3, 5, width=1)
    image = generator(torch.randn(2, 5))
    assert image.shape == (2, 3, image_size, image_size)
    assert image.abs().max() <= 1
    discriminator = ResidualDiscriminator(image_size, 3, width=1)
    assert discriminator(image).shape == (2,)
    assert generator.seed_size == {28: 7, 48: 6, 8: 2}.get(image_size, 4)
    reached = []
    discriminator.blocks[-1].register_forward_hook(lambda block, seen, out: reached.append(out.shape[-1]))
    discriminator(image)
    assert reached == [image_size // 2 ** DISCRIMINATORS[image_size][1]]


def test_at_32_pixels_the_networks_have_as_many_parameters_as_the_paper_s():
    def conv(before, after, side=3):
        return (before * side**2 + 1) * after

    width, latent = 256, 128  # of the generator
    block = 2 * conv(width, width) + conv(width, width, 1) + 4 * width
    expected = (latent + 1) * width * 16 + 3 * block + 2 * width + conv(width, 3)
    generator = ResidualGenerator(32, 3, latent, width, init="normal")
    assert parameters(generator) == expected == 4_276_739
    width = 128
    first = conv(3, width) + conv(width, width) + conv(3, width, 1)
    others = 6 * conv(width, width) + conv(width, width, 1)
    discriminator = ResidualDiscriminator(32, 3, width, init="normal", weight_norm="none")
    assert parameters(discriminator) == first + others + width + 1 == 1_053_825


def test_at_128_pixels_the_networks_have_as_many_parameters_as_biggan_s():
    """The counts that the tests of google/compare_gan (resnet_biggan, channels 96) hold its networks to."""
    options = {"attention": [64], "init": "normal", "weight_norm": "none", "num_classes": 1000}
    with torch.device("meta"):
        generator = ResidualGenerator(128, 3, 120, 96, conditioning="shared", skip_latent=True, **options)
        discriminator = ResidualDiscriminator(128, 3, 96, **options)
    assert (parameters(generator), parameters(discriminator)) == (70_433_988, 87_982_370)


# Blocks


def test_a_block_up_is_the_paper_s_with_its_shortcut_after_the_repetition():
    torch.manual_seed(0)
    block = UpBlock(3, 4, lambda count: ClassBatchNorm(count, 2, spread=0.5), NORMAL).double()
    x, label = torch.randn(4, 3, 3, 3).double(), torch.tensor([0, 1, 1, 0])
    kept = x.clone()

    def double(h):
        return h.repeat_interleave(2, 2).repeat_interleave(2, 3)

    h = block.conv1(double(F.relu(block.norm1(x, label))))
    expected = block.conv2(F.relu(block.norm2(h, label))) + block.shortcut(double(x))
    torch.testing.assert_close(block(x, label), expected)
    assert torch.equal(x, kept)  # no activation in place


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(("halve", "after"), [(True, 3), (True, 5), (False, 5), (False, 3)])
def test_a_block_down_is_the_paper_s_with_its_shortcut_before_the_mean(first, halve, after):
    torch.manual_seed(0)
    block = DownBlock(3, after, FEATURE_NORMS["layer"], NORMAL, halve, first=first).double()
    x = torch.randn(2, 3, 4, 4).double()
    kept = x.clone()
    down = nn.AvgPool2d(2) if halve else nn.Identity()
    h = block.conv1(x) if first else block.conv1(F.relu(block.norm1(x)))
    h = down(block.conv2(F.relu(h if first else block.norm2(h))))
    changes = halve or after != 3
    torch.testing.assert_close(block(x), h + (down(block.shortcut(x)) if changes else x))
    assert torch.equal(x, kept)
    assert isinstance(block.shortcut, nn.Conv2d) == changes
    assert isinstance(block.norm1, nn.Identity) == first


def test_a_block_widens_in_its_first_or_its_second_convolution():
    for wide, hidden in ((True, 6), (False, 2)):
        block = DownBlock(2, 6, FEATURE_NORMS["batch"], NORMAL, wide=wide)
        assert (block.conv1.out_channels, block.norm2.num_features, block.conv2.in_channels) == (hidden,) * 3


# Attention


def test_pooled_attention_is_a_softmax_over_maxima_written_out():
    torch.manual_seed(0)
    attention = PooledAttention(16, LayerWeights("orthogonal")).double()
    x = torch.randn(2, 16, 4, 6).double()
    torch.testing.assert_close(attention(x), x, rtol=0, atol=0)  # at the start
    nn.init.constant_(attention.gain, 0.7)
    query, key, value = (layer.weight.flatten(1) for layer in (attention.query, attention.key, attention.value))
    assert [each.shape[0] for each in (query, key, value)] == [2, 2, 8]

    def maxima(plane):
        return plane.unfold(1, 2, 2).unfold(2, 2, 2).amax((3, 4)).flatten(1)

    for image, out in zip(x, attention(x), strict=True):
        keys, values = (maxima((w @ image.flatten(1)).unflatten(1, (4, 6))) for w in (key, value))
        for place in range(24):
            pixel = image.flatten(1)[:, place]
            scores = torch.stack([(query @ pixel) @ keys[:, k] for k in range(6)])
            mixed = (scores.exp() / scores.exp().sum() * values).sum(1)
            expected = pixel + 0.7 * attention.out.weight.flatten(1) @ mixed
            torch.testing.assert_close(out.flatten(1)[:, place], expected)


def test_pooled_attention_has_the_second_derivatives_that_a_gradient_penalty_needs():
    torch.manual_seed(0)
    attention = PooledAttention(8, LayerWeights("orthogonal")).double()
    nn.init.constant_(attention.gain, 0.5)
    assert torch.autograd.gradgradcheck(attention, torch.randn(1, 8, 2, 2).double().requires_grad_())


def test_attention_stands_behind_the_first_block_of_its_size():
    generator = ResidualGenerator(32, 1, 4, 8, attention=[16, 8])
    assert list(generator.attentions) == ["0", "1"]
    discriminator = ResidualDiscriminator(32, 1, 8, attention=[8])
    assert list(discriminator.attentions) == ["1"]  # of blocks that end at 16, 8, 8, 8
    image = torch.randn(2, 1, 32, 32)
    before = discriminator.eval()(image)
    nn.init.constant_(discriminator.attentions["1"].gain, 1.0)
    assert not torch.allclose(discriminator(image), before)


# Conditions


@pytest.mark.parametrize(
    ("conditioning", "skip_latent"),
    [("norm", False), ("shared", False), ("shared", True), ("latent", False), ("latent", True)],
)
def test_classes_and_parts_of_the_latent_reach_the_image(conditioning, skip_latent):
    torch.manual_seed(0)
    options = {"num_classes": 3, "conditioning": conditioning, "embedding_size": 4, "skip_latent": skip_latent}
    generator = ResidualGenerator(8, 1, 9, 4, **options).double().eval()
    for layer in generator.modules():
        if isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight)  # gains of classes begin alike
    latent, told = torch.randn(1, 9).double().expand(3, 9), labels(3)
    images = generator(latent, told)
    assert len({tuple(image.flatten().tolist()) for image in images}) == 3
    moved = generator(latent + torch.eye(9)[[0, 3, 6]], told)  # one entry of each third
    assert ((moved - images).abs().amax((1, 2, 3)) > 1e-6).all()


def test_every_block_has_an_equal_part_of_the_latent_beside_the_shared_embedding():
    torch.manual_seed(0)
    options = {"num_classes": 10, "conditioning": "shared", "embedding_size": 7, "skip_latent": True}
    generator = ResidualGenerator(32, 3, 80, 4, **options).eval()
    assert generator.seed.in_features == 20  # of BigGAN with 80 units: four parts
    norms = [each for each in generator.blocks.modules() if isinstance(each, VectorBatchNorm)]
    assert [norm.gain.in_features for norm in norms] == [7 + 20] * 6
    assert generator.embedding.weight.shape == (10, 7)
    seen = []
    for block in generator.blocks:
        block.register_forward_hook(lambda block, given, out: seen.append(out.detach()))
    latent = torch.randn(2, 80)
    generator(latent, labels(2))
    latent[:, 40:60] += 1  # the part of the second block
    generator(latent, labels(2))
    same = [torch.equal(before, after) for before, after in zip(seen[:3], seen[3:], strict=True)]
    assert same == [True, False, False]


def test_without_classes_norms_are_told_the_latent_alone():
    generator = ResidualGenerator(8, 1, 9, 4, skip_latent=True)
    assert generator.reads == ()
    assert generator.embedding is None
    assert generator.blocks[0].norm1.gain.in_features == 3
    assert generator(torch.randn(2, 9)).shape == (2, 1, 8, 8)


def test_a_class_beside_the_image_and_packs_widen_the_first_block():
    beside = ResidualDiscriminator(8, 2, 4, num_classes=3, conditioning="concat")
    assert beside.blocks[0].conv1.in_channels == 4
    assert beside.embedding is None
    image = torch.randn(3, 2, 8, 8)
    assert len(set(beside(image[:1].expand(3, -1, -1, -1), labels(3)).tolist())) == 3
    pack = ResidualDiscriminator(8, 2, 4, pack=2)
    assert pack.blocks[0].conv1.in_channels == 4
    assert pack.judged(image).features.shape == (2, 4)


def test_the_mean_over_pixels_is_their_sum_by_their_number():
    torch.manual_seed(0)
    network = ResidualDiscriminator(8, 1, 4).eval()
    image = torch.randn(3, 1, 8, 8)
    total = network.features(image)
    network.pooling = "mean"
    torch.testing.assert_close(network.features(image), total / 16)  # 4 x 4 pixels


# Training


@pytest.mark.parametrize("init", ["normal", "orthogonal", "xavier"])
def test_every_parameter_that_can_matter_gets_a_gradient(init):
    torch.manual_seed(0)
    options = {"attention": [4], "init": init, "num_classes": 3}
    shared = {"conditioning": "shared", "skip_latent": True, "embedding_size": 4}
    generator = ResidualGenerator(8, 1, 6, 8, weight_norm="spectral", **shared, **options)
    discriminator = ResidualDiscriminator(8, 1, 8, norm="layer", **options)
    for network in (generator, discriminator):
        nn.init.constant_(network.attentions["0"].gain, 0.3)
    discriminator(generator(torch.randn(4, 6), labels(4)), labels(4)).square().sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert torch.isfinite(parameter.grad).all(), name
            if not name.endswith("conv1.bias"):  # batch norm takes it away
                assert parameter.grad.abs().sum() > 0, name


def test_spectral_norm_comes_to_the_largest_singular_value_and_evaluation_leaves_its_state():
    torch.manual_seed(0)
    shared = {"num_classes": 3, "attention": [4], "weight_norm": "spectral"}
    generator = ResidualGenerator(8, 1, 6, 8, conditioning="shared", skip_latent=True, embedding_size=4, **shared)
    discriminator = ResidualDiscriminator(8, 1, 8, **shared)
    latent = torch.randn(2, 6)
    for _ in range(60):
        discriminator(generator(latent, labels(2)), labels(2))
    for network in (generator, discriminator):
        layers = [(name, each) for name, each in network.named_modules() if hasattr(each, "parametrizations")]
        known = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear | nn.Embedding)]
        assert len(layers) == len(known) - (network is generator)  # all but the generator's embedding
        for name, layer in layers:
            exact = torch.linalg.matrix_norm(layer.parametrizations.weight.original.detach().flatten(1), 2)
            share = (layer.parametrizations.weight.original / layer.weight).detach().median()
            assert float(share) == pytest.approx(float(exact), rel=0.02), name
        state = {name: each.clone() for name, each in network.state_dict().items()}
        network.eval()
        network(*((latent, labels(2)) if network is generator else (torch.randn(2, 1, 8, 8), labels(2))))
        assert all(torch.equal(each, state[name]) for name, each in network.state_dict().items())


# Refusals


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"image_size": 20}, "multipliers must be given for an image_size other than 8, 16, .*, got 20"),
        ({"image_size": 20, "multipliers": [4, 2, 1, 1]}, r"image_size must be divisible by 2\^3, .*, got 20"),
        ({"multipliers": [1]}, r"multipliers must have the seed and at least 1 block, got \[1\]"),
        ({"attention": [16]}, r"attention must be at sizes among \[4, 8\], got \[16\]"),
        ({"width": 4, "attention": [4]}, "channels must be at least 8 where there is attention, got 4"),
        ({"skip_latent": True, "latent_size": 10}, "latent_size must be divisible by 3 for skip_latent=true, got 10"),
        ({"skip_latent": True, "num_classes": 3}, "conditioning must be shared or latent for skip_latent=true"),
        ({"skip_latent": True, "norm": "none"}, "norm must be batch for skip_latent=true, got 'none'"),
        ({"norm": "none", "num_classes": 3}, "norm must be batch for conditioning=norm, got 'none'"),
        ({"conditioning": "concat"}, "conditioning must be one of norm, shared, latent, got 'concat'"),
        ({"weight_norm": "weight"}, "weight_norm must be one of spectral, none, got 'weight'"),
    ],
)
def test_what_a_generator_cannot_be_is_refused(options, told):
    with pytest.raises(ValueError, match=told):
        ResidualGenerator(**{"image_size": 8, "channels": 1, "latent_size": 9, **options})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"image_size": 20, "multipliers": [1, 1]}, "halvings must be given for an image_size other than"),
        ({"image_size": 20, "multipliers": [1, 1, 1], "halvings": 3}, r"image_size must be divisible by 2\^3"),
        ({"halvings": 4}, "halvings must lie in 0 .. 3, the blocks of multipliers, got 4"),
        ({"multipliers": []}, "multipliers must have at least 1 block"),
        ({"pooling": "max"}, "pooling must be one of sum, mean, got 'max'"),
        ({"norm": "spectral"}, "norm must be one of none, batch, layer, instance, got 'spectral'"),
        ({"attention": [8]}, r"attention must be at sizes among \[4\], got \[8\]"),
    ],
)
def test_what_a_discriminator_cannot_be_is_refused(options, told):
    with pytest.raises(ValueError, match=told):
        ResidualDiscriminator(**{"image_size": 8, "channels": 1, "width": 2, **options})
