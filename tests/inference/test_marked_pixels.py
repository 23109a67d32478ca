"""A mark in pixels: as strong as was asked for, found by its key after what pictures go through, and by no other."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from genexp.inference.marked_pixels import BAND, FALSE_POSITIVES, _coefficients, _signs, chance, find, marked


def tensor(picture):
    return torch.from_numpy(np.array(picture)).movedim(-1, 0)


@pytest.fixture(scope="module")
def photograph():
    return tensor(load_sample_image("china.jpg"))


@pytest.fixture(scope="module")
def with_mark(photograph):
    return marked(photograph, "a key")


def pil(image):
    return Image.fromarray(image.movedim(0, -1).numpy())


def compressed(image, quality):
    file = io.BytesIO()
    pil(image).save(file, "JPEG", quality=quality)
    return tensor(Image.open(file))


CHANGES = {
    "as it is": lambda image: image,
    "JPEG 50": lambda image: compressed(image, 50),
    "half the size": lambda image: tensor(pil(image).resize((320, 214), Image.Resampling.BICUBIC)),
    "larger": lambda image: tensor(pil(image).resize((900, 600), Image.Resampling.BICUBIC)),
    "noise": lambda image: (image + 10 * torch.randn(image.shape)).round().clamp(0, 255).byte(),
    "brighter": lambda image: (image * 0.8 + 30).byte(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_mark_is_found_by_its_key_alone(change, with_mark):
    torch.manual_seed(0)
    changed = CHANGES[change](with_mark)
    assert find(changed, "a key").p_value < FALSE_POSITIVES
    other = find(changed, "another key")
    assert other.p_value > 1e-3
    assert other.marked_p_value < FALSE_POSITIVES  # there is one, of another key


def test_the_change_is_as_strong_as_asked_for_and_the_input_stays(photograph):
    before = photograph.clone()
    for strength in (1.0, 4.0):
        change = marked(photograph, "k", strength).double() - photograph.double()
        assert strength * 0.8 < float(change.pow(2).mean().sqrt()) < strength + 0.3  # rounding adds up to 0.29
    assert torch.equal(photograph, before)


def test_no_mark_is_found_in_plain_pictures(photograph):
    found = [find(photograph, f"key {i}") for i in range(300)]
    assert max(each.marked_p_value for each in found) == min(each.marked_p_value for each in found) > 1e-3
    for level in (0.1, 0.01):  # the bound holds: at most so many keys agree so well
        assert sum(each.p_value < level for each in found) <= 300 * level + 3 * math.sqrt(300 * level)
    assert min(each.p_value for each in found) > 1e-4


def test_z_is_standard_normal_over_keys(photograph):
    z = torch.tensor([find(photograph, f"key {i}").z for i in range(300)])
    assert abs(float(z.mean())) < 4 / math.sqrt(300)
    assert abs(float(z.var()) - 1) < 4 * math.sqrt(2 / 300)


def test_the_bound_is_hoeffdings():
    assert chance(0) == chance(-3) == 1
    assert chance(2) == pytest.approx(math.exp(-2))
    signs = torch.randint(2, (200_000, 16), generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    x = torch.linspace(0.1, 1, 16, dtype=torch.double)
    z = signs @ x / x.norm()
    for t in (1.0, 2.0, 3.0):
        assert float((z >= t).double().mean()) <= chance(t)


def test_the_coefficients_are_those_of_the_dct():
    grid = (torch.arange(256, dtype=torch.double) + 0.5) / 256
    wave = 40 * torch.cos(math.pi * 9 * grid)[:, None] * torch.cos(math.pi * 14 * grid)
    found = _coefficients(wave[None])
    smoothed = math.cos(math.pi * 9 / 512) * math.cos(math.pi * 14 / 512)  # a mean of two neighbours
    assert float(found[9, 14]) == pytest.approx(20 * smoothed, rel=1e-6)
    found[9, 14] = 0
    assert float(found.abs().max()) < 1e-9


def test_signs_are_of_the_key_and_balanced():
    ours, theirs = _signs("a"), _signs("b")
    used = ours != 0
    assert torch.equal(used, theirs != 0)
    assert abs(float(ours.sum())) < 4 * BAND
    public = torch.zeros_like(used)
    public[::2, ::2] = public[1::2, 1::2] = True
    assert torch.equal(ours[public], theirs[public])
    assert abs(float((ours * theirs)[~public].sum())) < 4 * BAND


def test_smooth_parts_change_less_than_rough_ones():
    image = torch.full((1, 128, 256), 120, dtype=torch.uint8)
    noise = 30 * torch.randn(128, 128, generator=torch.Generator().manual_seed(0))
    image[0, :, 128:] = (120 + noise).clamp(0, 255).byte()
    change = (marked(image, "k").double() - image.double()).pow(2)[0].mean(0).sqrt()
    assert float(change[:100].mean()) < 0.3 * float(change[156:].mean())
    assert find(marked(image, "k"), "k").p_value < FALSE_POSITIVES


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 33, 57), (1, 500, 40)])
def test_grey_small_and_odd_pictures(shape):
    smooth = torch.nn.functional.interpolate(torch.rand(1, shape[0], 6, 6), shape[1:], mode="bicubic")[0]
    image = marked((smooth.clamp(0, 1) * 255).byte(), "k", 6)
    assert image.shape == shape
    assert find(image, "k").p_value < FALSE_POSITIVES


def test_what_cannot_be_marked_is_told():
    with pytest.raises(ValueError, match="at least 32 pixels a side, got 64 x 31"):
        marked(torch.zeros(1, 31, 64, dtype=torch.uint8), "k")
    with pytest.raises(ValueError, match="a key of at least one character"):
        marked(torch.zeros(1, 32, 32, dtype=torch.uint8), "")
    with pytest.raises(ValueError, match="strength must be above 0, got -1"):
        marked(torch.zeros(1, 32, 32, dtype=torch.uint8), "k", -1)


def test_a_picture_of_one_colour_is_marked_and_read_without_nonsense():
    flat = torch.zeros(1, 64, 64, dtype=torch.uint8)
    assert find(flat, "k").p_value == 1
    assert find(marked(flat + 128, "k"), "k").p_value < FALSE_POSITIVES
