"""The UNet: its size, its parity with diffusers, and what its embeddings and resolutions mean."""

import copy
import inspect

import pytest
import torch
from diffusers import UNet2DModel
from hydra.utils import instantiate

from genexp.config.compose import compose
from genexp.networks.attention import PixelAttention
from genexp.networks.blocks import Downsample, ResidualBlock, Upsample, group_norm
from genexp.networks.embeddings import sinusoidal
from genexp.networks.unet import UNet
from genexp.networks.unet_weights import from_diffusers, to_diffusers


def diffusers_unet(channels, sizes, attention, blocks=2, heads=None, groups=32, num_classes=None):
    kinds = ["AttnDownBlock2D" if attended else "DownBlock2D" for attended in attention]
    torch.manual_seed(0)
    model = UNet2DModel(
        in_channels=channels,
        out_channels=channels,
        block_out_channels=sizes,
        down_block_types=kinds,
        up_block_types=[kind.replace("Down", "Up") for kind in reversed(kinds)],
        layers_per_block=blocks,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
        norm_num_groups=groups,
        attention_head_dim=heads,
        num_class_embeds=num_classes,
    )
    return model.eval()


def randomised(network):
    """Every weight away from its initial value, zeros included."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def small():
    return randomised(
        UNet(channels=1, image_size=8, width=16, multipliers=(1, 2), blocks=1, attention=(4,), num_classes=3)
    )


def test_the_cifar_network_has_the_published_number_of_parameters():
    network = UNet(3, 32, width=128, multipliers=(1, 2, 2, 2), blocks=2, attention=(16,), dropout=0.1)
    assert sum(parameter.numel() for parameter in network.parameters()) == 35_746_307


def test_converted_cifar_weights_give_the_output_of_diffusers():
    theirs = diffusers_unet(3, (128, 256, 256, 256), (False, True, False, False))
    ours = UNet(3, 32).eval()
    ours.load_state_dict(from_diffusers(theirs.state_dict(), theirs.config, ours))
    x, t = torch.randn(2, 3, 32, 32), torch.tensor([0, 999])
    with torch.no_grad():
        torch.testing.assert_close(ours(x, t), theirs(x, t).sample, rtol=0, atol=1e-5)


@pytest.mark.parametrize("heads", [1, 2])
def test_converted_small_weights_give_the_output_of_diffusers_in_float64(heads):
    theirs = diffusers_unet(1, (32, 64), (False, True), blocks=1, heads=64 // heads, groups=8, num_classes=4).double()
    ours = UNet(1, 8, width=32, multipliers=(1, 2), blocks=1, attention=(4,), heads=heads, groups=8, num_classes=3)
    ours.double().eval()
    ours.load_state_dict(from_diffusers(theirs.state_dict(), theirs.config, ours))
    x, t, label = torch.randn(4, 1, 8, 8).double(), torch.tensor([0, 7, 500, 999]), torch.tensor([0, 1, 2, 3])
    with torch.no_grad():
        torch.testing.assert_close(ours(x, t, {"label": label}), theirs(x, t, label).sample, rtol=0, atol=1e-10)


@pytest.mark.parametrize("choice", ["unet", "unet_adm", "unet_small", "unet_ddpm_cifar10"])
@pytest.mark.parametrize("num_classes", [None, 10])
def test_every_shipped_unet_has_a_twin_in_diffusers(choice, num_classes):
    data = "digits" if choice in ("unet", "unet_adm") else "cifar10"
    node = compose("train", ["model=diffusion", f"model/network={choice}", f"data={data}"]).model.network
    ours = randomised(instantiate(node, num_classes=num_classes)).double()
    config, weights = to_diffusers(ours)
    theirs = UNet2DModel(**config).double().eval()
    theirs.load_state_dict(weights)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, ours.stem.in_channels, 8, 8, generator=generator).double()
    t, label = torch.tensor([3, 999]), None if num_classes is None else torch.tensor([0, num_classes])
    with torch.no_grad():
        torch.testing.assert_close(
            ours(x, t, {} if label is None else {"label": label}), theirs(x, t, label).sample, rtol=0, atol=1e-8
        )


def test_weights_survive_the_way_there_and_back():
    ours = randomised(UNet(1, 8, width=32, multipliers=(1, 2), blocks=1, attention=(4,), heads=2, groups=8))
    config, weights = to_diffusers(ours)
    back = from_diffusers(weights, config, ours)
    assert back.keys() == ours.state_dict().keys()
    assert all(torch.equal(back[name], value) for name, value in ours.state_dict().items())
    assert weights.keys() == UNet2DModel(**config).state_dict().keys()


DEFAULTS = {name: each.default for name, each in inspect.signature(UNet2DModel).parameters.items()}
OTHER = {
    "norm_num_groups": 4,
    "attention_head_dim": 16,
    "norm_eps": 1e-5,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "downsample_padding": 1,
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "center_input_sample": True,
    "time_embedding_type": "fourier",
    "time_embedding_dim": 64,
    "mid_block_type": None,
    "mid_block_scale_factor": 2,
    "act_fn": "relu",
    "attn_norm_num_groups": 4,
    "resnet_time_scale_shift": "scale_shift",
    "add_attention": False,
    "class_embed_type": "timestep",
    "num_class_embeds": 3,
    "layers_per_block": 2,
    "block_out_channels": (32, 32),
    "down_block_types": ("AttnDownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D"),
    "in_channels": 3,
    "out_channels": 3,
}


@pytest.fixture(scope="module")
def twin():
    ours = randomised(UNet(1, 8, width=32, multipliers=(1, 2), blocks=1, attention=(4,), groups=8))
    return ours, *to_diffusers(ours)


@pytest.mark.parametrize("key", sorted(OTHER))
def test_a_model_that_computes_something_else_is_refused_by_the_name_of_what_differs(twin, key):
    ours, config, weights = twin
    with pytest.raises(ValueError, match=f"must be of a UNet2DModel that computes what the UNet computes, got {key} "):
        from_diffusers(weights, {**config, key: OTHER[key]}, ours)


def test_every_argument_of_diffusers_is_either_compared_or_without_effect(twin):
    """A new argument of a later diffusers shows here; a file that lacks a key has the default."""
    ours, config, weights = twin
    assert set(DEFAULTS) == {*OTHER, "sample_size", "num_train_timesteps", "dropout"}
    lacking = {key: value for key, value in config.items() if value != DEFAULTS[key]}
    assert from_diffusers(weights, lacking, ours).keys() == ours.state_dict().keys()
    for key in lacking:
        with pytest.raises(ValueError, match=f"{key} "):
            from_diffusers(weights, {name: value for name, value in lacking.items() if name != key}, ours)
    with pytest.raises(ValueError, match="config must hold arguments of UNet2DModel, got magic"):
        from_diffusers(weights, {**config, "magic": 1}, ours)


def test_dropout_may_differ_as_published_files_do_not_name_it(twin):
    ours, config, weights = twin
    assert from_diffusers(weights, {**config, "dropout": 0.5}, ours)


def test_one_head_may_be_written_as_its_channels(twin):
    ours, config, weights = twin
    assert from_diffusers(weights, {**config, "attention_head_dim": 64}, ours)


def test_a_network_without_a_twin_is_refused():
    with pytest.raises(ValueError, match=r"one number in all layers .*, got 4, 8; with groups=4 they are"):
        to_diffusers(UNet(1, 8, width=16, multipliers=(1, 2), blocks=1, attention=(4,), groups=8))
    with pytest.raises(ValueError, match=r"heads must have one number of channels in a UNet2DModel, got \[16, 32\]"):
        to_diffusers(UNet(1, 8, width=32, multipliers=(1, 2), blocks=1, attention=(8, 4), heads=2, groups=8))


def test_weights_of_another_network_are_refused(twin):
    ours, config, _ = twin
    with pytest.raises(ValueError, match=r"names of a UNet with time embedding, got 'add_embedding\.weight'"):
        from_diffusers({"add_embedding.weight": torch.zeros(1)}, config, ours)


def test_every_parameter_gets_a_gradient(small):
    x, t, label = torch.randn(4, 1, 8, 8), torch.arange(4), torch.tensor([0, 1, 2, 3])
    small.zero_grad()
    small(x, t, {"label": label}).square().sum().backward()
    assert not [name for name, p in small.named_parameters() if p.grad is None or p.grad.abs().max() == 0]


def test_a_fresh_network_answers_almost_zero():
    torch.manual_seed(0)
    network = UNet(1, 8, width=16, multipliers=(1, 2), blocks=1)
    assert network(torch.randn(2, 1, 8, 8), torch.tensor([1, 500])).abs().max() < 1e-3


def test_rows_do_not_see_each_other(small):
    x, t, label = torch.randn(3, 1, 8, 8), torch.tensor([3, 40, 900]), torch.tensor([0, 3, 1])
    with torch.no_grad():
        alone = torch.cat([small(x[i : i + 1], t[i : i + 1], {"label": label[i : i + 1]}) for i in range(3)])
        torch.testing.assert_close(small(x, t, {"label": label}), alone, rtol=1e-5, atol=1e-5)


def test_time_and_label_change_the_output(small):
    x, t, label = torch.randn(1, 1, 8, 8), torch.tensor([10]), torch.tensor([1])
    with torch.no_grad():
        here = small(x, t, {"label": label})
        assert (small(x, t + 100, {"label": label}) - here).abs().max() > 1e-3
        assert (small(x, t, {"label": label + 1}) - here).abs().max() > 1e-3


def test_no_class_has_an_embedding_of_its_own(small):
    assert small.label.num_embeddings == 4


@pytest.mark.parametrize(("size", "levels"), [(8, 2), (16, 3), (28, 3), (64, 4)])
def test_output_has_the_shape_of_the_image(size, levels):
    network = UNet(3, size, width=8, multipliers=(1,) * levels, blocks=1, attention=(), outputs=2)
    assert network(torch.randn(1, 3, size, size), torch.tensor([5])).shape == (1, 6, size, size)


def test_attention_sits_at_the_named_resolutions():
    network = UNet(1, 16, width=8, multipliers=(1, 1, 1), blocks=1, attention=(8, 64))
    down = [isinstance(level.attentions[0], PixelAttention) for level in network.down]
    up = [isinstance(level.attentions[0], PixelAttention) for level in network.up]
    assert down == up == [False, True, False]


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="image_size must be divisible by 4 for 3 levels, got 10"):
        UNet(1, 10, multipliers=(1, 1, 1))
    with pytest.raises(ValueError, match="at least one block"):
        UNet(1, 8, multipliers=())
    with pytest.raises(ValueError, match="sides must be divisible by 4 for 3 levels, got 8x10"):
        UNet(1, 8, width=8, multipliers=(1, 1, 1))(torch.zeros(1, 1, 8, 10), torch.tensor([5]))
    with pytest.raises(ValueError, match="heads must divide the 16 channels, got 3"):
        PixelAttention(16, heads=3)
    with pytest.raises(ValueError, match="width must be even and at least 4, got 2"):
        sinusoidal(torch.zeros(1), 2)
    with pytest.raises(ValueError, match="label must be given"):
        UNet(1, 8, width=8, multipliers=(1,), num_classes=2)(torch.zeros(1, 1, 8, 8), torch.tensor([1]))


@pytest.mark.parametrize(("channels", "groups"), [(384, 32), (128, 32), (96, 24), (48, 12), (40, 10), (7, 1), (2, 1)])
def test_groups_divide_the_channels_and_hold_four_of_them(channels, groups):
    assert group_norm(channels).num_groups == groups
    assert group_norm(channels, groups=1).num_groups == 1


def test_normalisation_does_not_erase_the_embedding():
    torch.manual_seed(0)
    block = randomised(ResidualBlock(8, 8, features=4))
    x, embedding = torch.randn(1, 8, 4, 4), torch.randn(1, 4)
    assert (block(x, embedding) - block(x, embedding + 1)).abs().max() > 1e-2


def test_sinusoids_are_sines_then_cosines_from_period_one_to_ten_thousand():
    t = torch.tensor([0.0, 3.0])
    waves = sinusoidal(t, 6)
    frequencies = torch.tensor([1.0, 1e-2, 1e-4])
    torch.testing.assert_close(waves[1], torch.cat([(3 * frequencies).sin(), (3 * frequencies).cos()]))
    torch.testing.assert_close(waves[0], torch.tensor([0.0, 0, 0, 1, 1, 1]))


def test_attention_equals_the_formula():
    torch.manual_seed(0)
    layer = randomised(PixelAttention(8, heads=2, groups=4)).double()
    x = torch.randn(2, 8, 3, 3).double()
    tokens = layer.norm(x).flatten(2).transpose(1, 2)
    q, k, v = layer.project_in(tokens).chunk(3, dim=2)
    heads = [slice(0, 4), slice(4, 8)]
    mixed = torch.cat([(q[..., h] @ k[..., h].mT / 2).softmax(-1) @ v[..., h] for h in heads], dim=2)
    torch.testing.assert_close(layer(x), x + layer.project_out(mixed).mT.reshape(x.shape))


def test_resizing_pads_right_and_bottom_only():
    down = Downsample(1)
    torch.nn.init.constant_(down.conv.weight, 1.0)
    torch.nn.init.zeros_(down.conv.bias)
    expected = torch.tensor([[[[9.0, 6], [6, 4]]]])  # the windows at the far edges lose a column, a row or both
    torch.testing.assert_close(down(torch.ones(1, 1, 4, 4)), expected)
    assert Upsample(1)(torch.ones(1, 1, 4, 4)).shape == (1, 1, 8, 8)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    block = randomised(ResidualBlock(8, 8, features=4, dropout=0.5))
    x, embedding = torch.randn(1, 8, 4, 4), torch.randn(1, 4)
    assert torch.equal(block(x, embedding), block(x, embedding))
    block.train()
    assert not torch.equal(block(x, embedding), block(x, embedding))


def test_memory_order_does_not_change_the_output(small):
    x, t, label = torch.randn(2, 1, 8, 8), torch.tensor([3, 900]), torch.tensor([0, 3])
    last = copy.deepcopy(small).to(memory_format=torch.channels_last)
    with torch.no_grad():
        got = last(x.to(memory_format=torch.channels_last), t, {"label": label})
        torch.testing.assert_close(got, small(x, t, {"label": label}), rtol=1e-4, atol=1e-5)
