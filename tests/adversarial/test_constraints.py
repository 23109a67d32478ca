"""Weight clipping touches parameters, all of them, and nothing else."""

import pytest
import torch
from torch import nn

from genexp.adversarial.constraints import WeightClip


def test_parameters_are_clipped_and_buffers_are_not():
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    network[1].running_var.fill_(7.0)
    small = network[0].weight.detach().clone()
    WeightClip(0.125)(network)
    assert max(float(p.detach().abs().max()) for p in network.parameters()) <= 0.125
    torch.testing.assert_close(network[0].weight.detach(), small.clamp(-0.125, 0.125))
    assert (network[1].running_var == 7.0).all()


def test_a_bound_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="bound must be positive, got 0"):
        WeightClip(0)
