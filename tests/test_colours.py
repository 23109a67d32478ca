"""Colours that are kept: moments that match, whatever the sizes, and luminance that is swapped alone."""

import colorsys

import pytest
import torch

from genexp.colours import luminance, matched, matched_luminance, with_luminance


def coloured(*size, seed):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(3, 3, generator=generator, dtype=torch.float64) * 0.3
    return torch.einsum("ij,bjhw->bihw", mix, torch.randn(1, 3, *size, generator=generator, dtype=torch.float64)) + 0.1


@pytest.mark.parametrize("size", [(12, 16), (24, 32), (6, 8)])
def test_mean_and_covariance_become_those_of_the_other_whatever_the_sizes(size):
    image, like = coloured(*size, seed=0), coloured(12, 16, seed=1)
    pixels, wanted = matched(image, like).flatten(2)[0], like.flatten(2)[0]
    torch.testing.assert_close(pixels.mean(1), wanted.mean(1))
    torch.testing.assert_close(pixels.cov(correction=0), wanted.cov(correction=0))
    torch.testing.assert_close(matched(image, image), image)


def test_a_grey_image_is_finite_and_takes_the_mean_colour():
    grey = coloured(8, 8, seed=0)[:, :1].expand(-1, 3, -1, -1)
    found, like = matched(grey, coloured(8, 8, seed=1)), coloured(8, 8, seed=1)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.mean((2, 3)), like.mean((2, 3)))
    assert float(found.std()) < 2 * float(like.std())


def test_luminance_is_the_y_of_yiq_and_is_swapped_alone():
    image, light = torch.rand(1, 3, 1, 1), torch.rand(1, 1, 1, 1)
    before, after = (colorsys.rgb_to_yiq(*each.flatten().tolist()) for each in (image, with_luminance(image, light)))
    assert before[0] == pytest.approx(float(luminance(image)), abs=5e-3)  # colorsys rounds the weights
    assert after[0] == pytest.approx(float(light), abs=5e-3)
    assert after[1:] == pytest.approx(before[1:], abs=5e-3)


def test_a_style_is_given_the_contents_light():
    style, content = coloured(8, 8, seed=0), coloured(9, 5, seed=1)
    found, wanted = matched_luminance(style, content), luminance(content)
    torch.testing.assert_close(found.mean(), wanted.mean())
    torch.testing.assert_close(found.std(correction=0), wanted.std(correction=0))
