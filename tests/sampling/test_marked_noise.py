"""A mark in the starting noise: standard normal over keys, whose p-values are those of chance."""

import pytest
import torch

from genexp.sampling.marked_noise import MarkedNoise, _hartley


def noise(count, *shape, seed=0):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def test_the_transform_is_orthonormal_and_its_own_inverse():
    values = noise(3, 6, 9).double()
    assert torch.allclose(_hartley(_hartley(values)), values)
    assert torch.allclose(_hartley(values).pow(2).sum(), values.pow(2).sum())


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (4, 16, 24)])
def test_marked_noise_is_found_by_its_key_alone(shape):
    plain = noise(200, *shape)
    marked = MarkedNoise("k").onto(plain)
    assert float(MarkedNoise("k").p_values(marked).max()) < 1e-20
    others = torch.stack([MarkedNoise(f"key {i}").p_values(marked[:1])[0] for i in range(400)])
    for level in (0.01, 0.1, 0.5):
        assert abs(float((others < level).double().mean()) - level) < 4 * (level / 400) ** 0.5


def test_only_low_frequencies_of_the_mean_of_the_channels_change():
    plain = noise(5, 3, 16, 16)
    change = (MarkedNoise("k").onto(plain) - plain).double()
    assert torch.allclose(change, change.mean(1, keepdim=True).expand_as(change), atol=1e-6)
    spectrum = _hartley(change[:, 0]).abs().amax(0)
    distance = (torch.fft.fftfreq(16, 1 / 16)[:, None] ** 2 + torch.fft.fftfreq(16, 1 / 16) ** 2).sqrt().round()
    assert float(spectrum[distance > 6].max()) < 1e-5
    assert float(spectrum[0, 0]) < 1e-5
    assert float(spectrum[(distance > 0) & (distance <= 6)].min()) > 0


def test_p_values_of_plain_noise_are_uniform_whatever_its_scale():
    for scale in (1.0, 0.6):
        found = MarkedNoise("k", radius=0.5).p_values(scale * noise(4000, 1, 32, 32, seed=1))
        for level in (0.01, 0.1, 0.5):
            share = float((found < level).double().mean())
            assert abs(share - level) < 4 * (level / 4000) ** 0.5


def test_marked_noise_is_standard_normal_over_keys():
    marked = torch.cat([MarkedNoise(f"key {i}").onto(noise(1, 1, 16, 16, seed=i)) for i in range(400)])
    assert float(marked.mean().abs()) < 0.02
    assert abs(float(marked.var()) - 1) < 0.03


def test_the_mark_survives_noise():
    marked = MarkedNoise("k").onto(noise(50, 1, 32, 32))
    assert float(MarkedNoise("k").p_values(marked + noise(50, 1, 32, 32, seed=2)).max()) < 1e-6


def test_a_key_must_be_given():
    with pytest.raises(ValueError, match="at least one character"):
        MarkedNoise("")
