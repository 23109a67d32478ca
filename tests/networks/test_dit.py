"""The diffusion transformer: its sizes, its parity with diffusers, how it starts, and what it is told."""

import copy

import pytest
import torch
from diffusers import DiTTransformer2DModel
from tests.networks.test_unet import randomised

from genexp.networks.dit import DiT
from genexp.networks.embeddings import plane_positions

SIZES = {"S": (384, 12, 6), "B": (768, 12, 12), "L": (1024, 24, 16), "XL": (1152, 28, 16)}
"""Width, depth and heads of the paper's table 1."""


def small(**changes):
    torch.manual_seed(0)
    return DiT(**{"channels": 1, "image_size": 8, "width": 16, "depth": 2, "heads": 2, "num_classes": 3} | changes)


@pytest.fixture(scope="module")
def network():
    return randomised(small())


def diffusers_dit(channels, size, width, depth, heads, num_classes, outputs):
    return DiTTransformer2DModel(
        num_attention_heads=heads,
        attention_head_dim=width // heads,
        in_channels=channels,
        out_channels=outputs * channels,
        num_layers=depth,
        sample_size=size,
        num_embeds_ada_norm=num_classes,
        norm_eps=1e-6,  # the paper's code; diffusers' own default is another
    )


def with_weights_of(theirs, ours):
    """Ours with the weights of theirs, whose patches have the channels inside the pixels at the end, and whose waves
    of the time have the cosines first.
    """
    patch, features = ours.patch_size, ours.time.width // 2
    given = theirs.state_dict()
    names = {"modulation": "proj_out_1", "stem": "pos_embed.proj", "head": "proj_out_2"}
    embedder = "transformer_blocks.0.norm1.emb"
    names |= {"time.first": f"{embedder}.timestep_embedder.linear_1"}
    names |= {"time.second": f"{embedder}.timestep_embedder.linear_2"}
    parts = {"modulation": "norm1.linear", "project_out": "attn1.to_out.0"}
    parts |= {"inner": "ff.net.0.proj", "outer": "ff.net.2"}
    for i in range(len(ours.blocks)):
        names |= {f"blocks.{i}.{part}": f"transformer_blocks.{i}.{name}" for part, name in parts.items()}
    state = {f"{name}.{kind}": given[f"{their}.{kind}"] for name, their in names.items() for kind in ("weight", "bias")}
    for i in range(len(ours.blocks)):
        for kind in ("weight", "bias"):
            joined = [given[f"transformer_blocks.{i}.attn1.to_{part}.{kind}"] for part in "qkv"]
            state[f"blocks.{i}.project_in.{kind}"] = torch.cat(joined)
    state["label.weight"] = given[f"{embedder}.class_embedder.embedding_table.weight"]
    state["stem.weight"] = state["stem.weight"].flatten(1)
    state["time.first.weight"] = state["time.first.weight"].roll(features, 1)
    for kind in ("weight", "bias"):
        state[f"head.{kind}"] = state[f"head.{kind}"].unflatten(0, (patch**2, -1)).transpose(0, 1).flatten(0, 1)
    ours.load_state_dict(state)
    return ours


def test_weights_of_diffusers_give_its_output_in_float64():
    """Its blocks have an embedding of time and class each, with equal weights in published files; ours is one."""
    sizes = {"channels": 3, "width": 24, "depth": 2, "heads": 2, "num_classes": 4, "outputs": 2}
    theirs = randomised(diffusers_dit(size=6, **sizes)).double()
    embedders = [block.norm1.emb for block in theirs.transformer_blocks]
    embedders[1].load_state_dict(embedders[0].state_dict())
    ours = with_weights_of(theirs, DiT(image_size=6, **sizes).double())
    torch.testing.assert_close(ours.positions, theirs.pos_embed.pos_embed[0], rtol=0, atol=1e-6)
    theirs.pos_embed.pos_embed.copy_(ours.positions)
    x, t, label = torch.randn(3, 3, 6, 6).double(), torch.tensor([0, 17, 999]), torch.tensor([0, 3, 4])
    with torch.no_grad():
        torch.testing.assert_close(ours(x, t, {"label": label}), theirs(x, t, label).sample, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", SIZES)
def test_the_models_of_the_paper_have_the_parameters_of_its_layers(name):
    """Weights and biases: patches, time, classes with "none", blocks, the last modulation, and the head."""
    width, depth, heads = SIZES[name]
    with torch.device("meta"):
        network = DiT(4, 32, 2, width, depth, heads, num_classes=1000, outputs=2)
    attention, feed, modulation = 4 * width**2 + 4 * width, 8 * width**2 + 5 * width, 6 * width**2 + 6 * width
    told = 17 * width + (257 * width + width**2 + width) + 1001 * width
    expected = told + depth * (attention + feed + modulation) + 2 * width**2 + 2 * width + 32 * (width + 1)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_every_block_starts_as_the_identity_and_the_output_at_zero():
    network, tokens = small(), torch.randn(2, 16, 16)
    for block in network.blocks:
        assert torch.equal(block(tokens, torch.randn(2, 16)), tokens)
    assert not network(torch.randn(2, 1, 8, 8), torch.tensor([1, 500]), {"label": torch.tensor([0, 3])}).any()


def test_time_and_class_change_the_output_once_their_weights_have_left_zero():
    """The first step moves the last layer alone, for all others have it at zero behind them; the second the rest."""
    network, x = small(), torch.randn(4, 1, 8, 8)
    t, label = torch.tensor([10, 300, 500, 900]), torch.tensor([0, 1, 2, 3])
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for told in (False, True):
        optimiser.zero_grad()
        (network(x, t, {"label": label}) - x).square().mean().backward()
        optimiser.step()
        with torch.no_grad():
            here = network(x, t, {"label": label})
            assert bool((network(x, t + 50, {"label": label}) != here).any((1, 2, 3)).all()) == told
            assert bool((network(x, t, {"label": label.roll(1)}) != here).any((1, 2, 3)).all()) == told


def test_every_parameter_gets_a_gradient(network):
    network.zero_grad()
    network(torch.randn(4, 1, 8, 8), torch.arange(4), {"label": torch.arange(4)}).square().sum().backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None or p.grad.abs().max() == 0]


def test_rows_do_not_see_each_other(network):
    x, t, label = torch.randn(3, 1, 8, 8), torch.tensor([3, 40, 900]), torch.tensor([0, 3, 1])
    with torch.no_grad():
        alone = torch.cat([network(x[i : i + 1], t[i : i + 1], {"label": label[i : i + 1]}) for i in range(3)])
        torch.testing.assert_close(network(x, t, {"label": label}), alone, rtol=1e-5, atol=1e-5)


def test_memory_order_and_capture_do_not_change_the_output(network):
    x, t, condition = torch.randn(2, 1, 8, 8), torch.tensor([3, 900]), {"label": torch.tensor([0, 3])}
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    captured = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        expected = network(x, t, condition)
        assert torch.equal(captured(x, t, condition), expected)
        got = last(x.to(memory_format=torch.channels_last), t, condition)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_a_patch_stays_where_it_is():
    """With positions away and blocks that are the identity, a pixel reaches its own patch alone."""
    network = small(num_classes=None, channels=2, outputs=2)
    torch.nn.init.normal_(network.head.weight)
    x = torch.randn(1, 2, 8, 8)
    other = x.clone()
    other[0, 0, 5, 2] += 1
    changed = (network(x, torch.tensor([3])) - network(other, torch.tensor([3]))).abs().amax((0, 1)) > 0
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[4:6, 2:4] = True
    assert torch.equal(changed, expected)


def test_positions_are_waves_of_the_column_then_of_the_row():
    waves = plane_positions(3, 8)[1 * 3 + 2]  # row 1, column 2
    frequencies = torch.tensor([1.0, 1e-2])
    expected = [f(frequencies * place) for place in (2, 1) for f in (torch.sin, torch.cos)]
    torch.testing.assert_close(waves, torch.cat(expected))


def test_what_it_is_told_is_read_and_refused_like_any_network(network):
    told = small(num_classes=None, told={"weight": lambda features: torch.nn.Linear(1, features)})
    assert (network.reads, told.reads) == (("label",), ("weight",))
    told = randomised(told)
    x, t = torch.randn(1, 1, 8, 8), torch.tensor([3])
    with torch.no_grad():
        assert (told(x, t, {"weight": torch.ones(1, 1)}) - told(x, t, {"weight": torch.zeros(1, 1)})).abs().max() > 1e-3
    with pytest.raises(ValueError, match="weight must be given to DiT"):
        told(x, t)
    with pytest.raises(ValueError, match=r"label must be given to \w+, which reads it, got none"):
        network(x, t)
    with pytest.raises(ValueError, match=r"x_t must have 8 pixels a side, got \(16, 16\)"):
        network(torch.randn(1, 1, 16, 16), t, {"label": torch.tensor([0])})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size": 3}, "patch_size must divide image_size=8, got 3"),
        ({"patch_size": 0}, "patch_size must divide image_size=8, got 0"),
        ({"heads": 3}, "heads must divide width=16, got 3"),
        ({"depth": 0}, "depth must be at least 1 block, got 0"),
        ({"width": 6}, "width must be divisible by 4, got 6"),
    ],
)
def test_wrong_sizes_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)
