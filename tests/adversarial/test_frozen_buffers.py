"""Frozen statistics: same computation, no buffer written."""

import copy

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from genexp.adversarial.frozen_buffers import coupling, frozen_statistics
from genexp.networks.mlp import MLPDiscriminator


def network():
    torch.manual_seed(0)
    return nn.Sequential(spectral_norm(nn.Linear(4, 8)), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def test_buffers_change_in_training_and_not_when_frozen():
    net, batch = network(), torch.randn(16, 4)
    before = copy.deepcopy(dict(net.named_buffers()))
    with frozen_statistics(net):
        net(batch)
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())
    net(batch)
    changed = {name for name, value in net.named_buffers() if not torch.equal(value, before[name])}
    assert changed == set(before)


def test_frozen_batch_norm_still_normalises_by_the_batch():
    norm = nn.BatchNorm1d(4)
    batch = 3 + 5 * torch.randn(64, 4)
    with frozen_statistics(norm):
        out = norm(batch)
    torch.testing.assert_close(out.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(out, copy.deepcopy(norm)(batch))


def test_modes_are_as_before_even_after_an_error():
    net = network()
    before = [(m.training, getattr(m, "track_running_stats", None)) for m in net.modules()]
    try:
        with frozen_statistics(net):
            raise KeyError
    except KeyError:
        pass
    assert [(m.training, getattr(m, "track_running_stats", None)) for m in net.modules()] == before
    net.eval()
    with frozen_statistics(net):
        pass
    assert not any(module.training for module in net.modules())


def test_batch_norm_and_packs_couple_samples_and_nothing_else():
    assert coupling(network()) == "batch norm"
    assert coupling(MLPDiscriminator((2,), pack=2)) == "packs"
    assert coupling(MLPDiscriminator((2,))) is None
    assert coupling(nn.Sequential(nn.GroupNorm(1, 4), spectral_norm(nn.Linear(4, 4)))) is None
