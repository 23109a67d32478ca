"""Pictures that steer a UNet: nothing at first, the copy's own weights, and what stands still."""

import pytest
import torch
from torch import nn

from genexp.conditioning.degraded import Degraded
from genexp.conditioning.edges import Edges
from genexp.conditioning.kinds import Words
from genexp.networks.text_encoder import TextEncoder
from genexp.networks.unet import UNet

SMALL = {"channels": 3, "image_size": 16, "width": 8, "multipliers": [1, 2], "blocks": 1, "groups": 4, "num_classes": 4}
EDGES = Degraded((3, 16, 16), Edges())
X, T = torch.randn(2, 3, 16, 16), torch.tensor([10, 700])
TOLD = {"label": torch.tensor([1, 4])}


def steered(**further):
    torch.manual_seed(0)
    network = UNet(**SMALL, steered_by={"edges": EDGES}, **further).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1 and bool(parameter.detach().any()):  # zeros stay zeros
            nn.init.normal_(parameter, std=0.1)
    return network


@pytest.mark.parametrize("patch_size", [1, 2])
def test_at_first_it_is_the_network_that_it_steers(patch_size):
    network = steered(patch_size=patch_size)
    plain = UNet(**SMALL, patch_size=patch_size).eval()
    plain.load_state_dict({name: value for name, value in network.state_dict().items() if "control" not in name})
    edges = torch.rand(2, 1, 16, 16)
    assert torch.equal(network(X, T, {**TOLD, "edges": edges}), plain(X, T, TOLD))
    for leave in network.control.exits:
        nn.init.normal_(leave.weight)
    made = network(X, T, {**TOLD, "edges": edges})
    assert not torch.allclose(made, plain(X, T, TOLD))
    nn.init.normal_(network.control.entry[-1].weight)
    other = network(X, T, {**TOLD, "edges": torch.cat([edges[:1], -edges[1:]])})
    assert not torch.allclose(other[1], network(X, T, {**TOLD, "edges": edges})[1])
    assert torch.allclose(other[0], network(X, T, {**TOLD, "edges": edges})[0])


def test_the_copy_begins_with_the_weights_of_the_network():
    network = steered()
    assert not torch.equal(network.control.copied.stem.weight, network.stem.weight)
    network.control.begin_as_copy()
    own, copied = network.state_dict(), network.control.copied.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in copied.items())
    assert {name.split(".")[0] for name in own} - {name.split(".")[0] for name in copied} >= {"up", "norm", "head"}
    with torch.no_grad():
        network.stem.weight.add_(1)
    assert not torch.equal(network.control.copied.stem.weight, network.stem.weight)


def test_zero_layers_learn_though_what_stands_before_them_has_no_gradient_yet():
    network = steered()
    network(X, T, {**TOLD, "edges": torch.rand(2, 1, 16, 16)}).square().mean().backward()
    assert all(float(leave.weight.grad.abs().sum()) > 0 for leave in network.control.exits)
    assert not network.control.entry[0].weight.grad.any()


def test_every_weight_that_is_trained_has_a_part_in_what_is_made():
    """One that had none would have no gradient, which a training in several processes stops at."""
    text = Words(["red", "square"], length=3)
    network = steered(attended={"caption": lambda features: TextEncoder(features, text, width=16, heads=2)})
    told = {
        **TOLD,
        "edges": torch.rand(2, 1, 16, 16),
        "caption": torch.cat([text.read("red square"), text.read("red")]),
    }
    network(X, T, told).square().mean().backward()
    assert not [name for name, weight in network.named_parameters() if weight.requires_grad and weight.grad is None]


def test_edges_are_where_an_image_changes():
    image = torch.full((1, 3, 8, 8), -1.0)
    image[:, 1, :, 4:] = 1
    edges = Edges(gain=1.0)(image)
    assert edges.shape == (1, 1, 8, 8)
    assert torch.equal(edges[0, 0, 3], torch.tensor([-1.0, -1, -1, 1, 1, -1, -1, -1]))
    assert torch.equal(Edges(gain=1.0)(image.mT), edges.mT)
    assert torch.equal(Edges()(torch.rand(1, 1, 1, 1).expand(1, 1, 8, 8)), torch.full((1, 1, 8, 8), -1.0))
    with pytest.raises(ValueError, match="gain must be above 0, got 0"):
        Edges(0)
