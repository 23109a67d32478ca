"""Weights between two runs': both ends are the runs, what lies between is their sum, others are refused."""

import pytest
import torch
from torch import nn

from genexp.conditioning.base import Conditioning
from genexp.sampling.interpolated import LatentByInterpolation
from genexp.tensors import IndexedNoise


class Affine(nn.Module):
    """A latent decoder of one layer with a batch norm, in evaluation mode."""

    latent_shape = (3,)
    conditioning = Conditioning({})

    def __init__(self, seed: int, width: int = 2) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.generator = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))
        self.generator[1].running_mean.normal_()
        self.eval()

    def decode(self, latent, condition):
        return self.generator(latent).clamp(-1, 1)


def drawn(sampler, model):
    noise = IndexedNoise(0, range(5))
    return sampler.run(model, sampler.start(model, noise), noise)


def test_from_share_0_to_1_images_go_from_one_to_the_other():
    model, other = Affine(0), Affine(1)
    latent = IndexedNoise(0, range(5)).normal(3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert torch.equal(drawn(LatentByInterpolation(other, 0.0), model), model.decode(latent, {}))
    assert torch.allclose(drawn(LatentByInterpolation(other, 1.0), model), other.decode(latent, {}))
    first, second = model.generator, other.generator
    weight, bias = (0.75 * a + 0.25 * b for a, b in zip(first[0].parameters(), second[0].parameters(), strict=True))
    mean = 0.75 * first[1].running_mean + 0.25 * second[1].running_mean
    expected = ((latent @ weight.T + bias - mean) / (1 + 1e-5) ** 0.5).clamp(-1, 1)
    assert torch.allclose(drawn(LatentByInterpolation(other, 0.25), model), expected, atol=1e-6)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match=r"share must lie in \[0, 1\], got 1.5"):
        LatentByInterpolation(Affine(0), 1.5)
    with pytest.raises(ValueError, match=r"other must have the model's generator, got 0.weight \(4, 3\) where"):
        LatentByInterpolation(Affine(0, 4)).require(Affine(1))
    decoder = Affine(1)
    del decoder.generator
    with pytest.raises(ValueError, match="needs a model with a generator, got Affine"):
        LatentByInterpolation(Affine(0)).require(decoder)
