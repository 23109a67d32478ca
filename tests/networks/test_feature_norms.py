"""Batch norms under a condition, in closed form; what the layers of adversarial networks begin with."""

import pytest
import torch
from torch import nn

from genexp.networks.feature_norms import ClassBatchNorm, VectorBatchNorm
from genexp.networks.layer_weights import LayerWeights


def test_class_batch_norm_is_batch_norm_with_gain_one_plus_g():
    norm = ClassBatchNorm(4, num_classes=3)
    hidden, label = torch.randn(8, 4, 2, 2), torch.arange(8) % 3
    with torch.no_grad():
        norm.gain.weight.zero_()
        plain = nn.BatchNorm2d(4, affine=False)(hidden)
        torch.testing.assert_close(norm(hidden, label), plain)
        norm.gain.weight[1] = 2.0
        norm.bias.weight[1] = 5.0
        out = norm(hidden, label)
    torch.testing.assert_close(out[label == 1], 3 * plain[label == 1] + 5)
    torch.testing.assert_close(out[label == 0], plain[label == 0])


def test_vector_batch_norm_is_batch_norm_with_gain_and_bias_linear_in_the_vector():
    torch.manual_seed(0)
    norm = VectorBatchNorm(3, 5, LayerWeights("orthogonal")).double()
    hidden, vector = torch.randn(6, 3, 2, 2).double(), torch.randn(6, 5).double()
    plain = nn.BatchNorm2d(3, affine=False).double()(hidden)
    gain, bias = vector @ norm.gain.weight.T, vector @ norm.bias.weight.T
    expected = [(1 + gain[i, c]) * plain[i, c] + bias[i, c] for i in range(6) for c in range(3)]
    torch.testing.assert_close(norm(hidden, vector).flatten(0, 1), torch.stack(expected))
    torch.testing.assert_close(norm(hidden, torch.zeros_like(vector)), plain)


def test_orthogonal_weights_have_orthonormal_rows_or_columns_and_those_of_xavier_its_variance():
    torch.manual_seed(0)
    wide = LayerWeights("orthogonal")(nn.Conv2d(4, 6, 3)).weight.detach().flatten(1)
    torch.testing.assert_close(wide @ wide.T, torch.eye(6))
    tall = LayerWeights("orthogonal")(nn.Linear(3, 7)).weight.detach()
    torch.testing.assert_close(tall.T @ tall, torch.eye(3))
    conv = LayerWeights("xavier")(nn.Conv2d(32, 64, 3), 2**0.5)
    assert float(conv.weight.detach().var()) == pytest.approx(2 * 2 / (9 * 32 + 9 * 64), rel=0.05)
    assert not conv.bias.any()


def test_unknown_beginnings_and_norms_are_refused():
    with pytest.raises(ValueError, match="init must be one of normal, orthogonal, xavier, got 'he'"):
        LayerWeights("he")
    with pytest.raises(ValueError, match="weight_norm must be one of none, spectral, weight, got 'batch'"):
        LayerWeights("normal", "batch")
