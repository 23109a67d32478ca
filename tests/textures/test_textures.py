"""Textures put together from a sample: Efros and Leung's growing, Efros and Freeman's quilting."""

from itertools import pairwise, product

import pytest
import torch

from genexp.textures.growing import EfrosLeung
from genexp.textures.quilting import Quilting
from genexp.textures.seams import beyond, cheapest_path


def checkerboard(side, cell):
    line = torch.arange(side) // cell
    return (((line[:, None] + line) % 2) * 2.0 - 1).expand(3, -1, -1)


def stripes(side, width):
    return ((torch.arange(side) // width % 2) * 2.0 - 1).expand(3, side, side)


def noise(side=20, seed=0):
    return torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def cost(height, width, seed=0):
    return torch.rand(height, width, generator=torch.Generator().manual_seed(seed))


def colours(picture):
    return {tuple(pixel) for pixel in picture.flatten(1).T.tolist()}


def is_periodic(texture, period):
    return torch.equal(texture[:, period:], texture[:, :-period]) and torch.equal(
        texture[..., period:], texture[..., :-period]
    )


def test_a_checkerboard_and_stripes_grow_again():
    board = EfrosLeung(window=5)(checkerboard(12, 2), 18, 15)
    assert is_periodic(board, 4)
    assert colours(board[:, :2, :4]) == colours(checkerboard(12, 2))
    grown = EfrosLeung(window=7)(stripes(14, 2), 12, 20, seed=3)
    assert (grown == grown[:, :1]).all()
    assert is_periodic(grown, 4)


def test_a_checkerboard_and_stripes_are_quilted_again():
    board = Quilting(patch=8, overlap=3)(checkerboard(16, 2), 29, 22)
    assert board.shape == (3, 29, 22)
    assert is_periodic(board, 4)
    quilted = Quilting(patch=9, overlap=4)(stripes(18, 3), 20, 40, seed=1)
    assert (quilted == quilted[:, :1]).all()
    assert is_periodic(quilted, 6)


@pytest.mark.parametrize("make", [EfrosLeung(window=5), Quilting(patch=7)], ids=["growing", "quilting"])
def test_every_pixel_comes_from_the_sample_and_a_seed_repeats_all(make):
    sample = noise()
    texture = make(sample, 16, 13)
    assert texture.shape == (3, 16, 13)
    assert colours(texture) <= colours(sample)
    assert torch.equal(texture, make(sample, 16, 13))
    assert not torch.equal(texture, make(sample, 16, 13, seed=1))


def test_a_patch_that_overlaps_nothing_is_one_of_the_sample():
    sample, texture = noise(), Quilting(patch=6, overlap=2)(noise(), 6, 6)
    assert any(torch.equal(texture, sample[:, i : i + 6, j : j + 6]) for i, j in product(range(15), repeat=2))


@pytest.mark.parametrize("seed", range(5))
def test_the_cheapest_path_is_the_best_of_all(seed):
    given = cost(5, 4, seed)
    paths = (path for path in product(range(4), repeat=5) if all(abs(a - b) <= 1 for a, b in pairwise(path)))
    best = min(sum(float(given[row, column]) for row, column in enumerate(path)) for path in paths)
    found = cheapest_path(given)
    assert all(abs(a - b) <= 1 for a, b in pairwise(found))
    assert sum(float(given[row, column]) for row, column in enumerate(found)) == pytest.approx(best)
    assert best <= float(given.sum(0).min()) + 1e-6  # never above a straight cut
    assert torch.equal(beyond(given).sum(1), 4 - torch.tensor(found))


def test_quilted_overlaps_keep_no_step_that_a_cut_avoids():
    """Two flat halves: a cut through equal pixels costs nothing, so that the sample's one edge stays the only one."""
    sample = torch.cat([torch.full((1, 12, 6), -1.0), torch.full((1, 12, 6), 1.0)], dim=2)
    texture = Quilting(patch=6, overlap=2, tolerance=0.0)(sample, 24, 24)
    assert set(texture.unique().tolist()) <= {-1.0, 1.0}
    assert (texture == texture[:, :1]).all()


def test_texture_transfer_takes_on_the_light_of_the_content():
    sample = torch.linspace(-1, 1, 40).expand(3, 24, 40) + 0.1 * noise(40)[:, :24]
    content = torch.full((3, 24, 24), 0.8)
    content[:, :, :12] = -0.8
    painted = Quilting(patch=6, alpha=0.1)(sample, 24, 24, content=content)
    assert colours(painted) <= colours(sample)
    assert painted[..., :10].mean() < -0.5
    assert painted[..., 14:].mean() > 0.5


def test_progress_is_told_of_every_pixel_and_patch():
    pixels, patches, quilting = [], [], Quilting(patch=6, overlap=2)
    EfrosLeung(window=3)(noise(8), 7, 6, told=pixels.append)
    quilting(noise(), 13, 9, told=patches.append)
    assert sum(pixels) == 7 * 6 - 9
    assert sum(patches) == 3 * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EfrosLeung(window=4), "window must be odd and at least 3, got 4"),
        (lambda: EfrosLeung(tolerance=-1), "tolerance must be at least 0, got -1"),
        (lambda: EfrosLeung(window=23)(noise(), 8, 8), "window must be at most the sides of the sample, 20 x 20"),
        (lambda: EfrosLeung(window=3)(noise(), 2, 8), "height and width must be at least 3, got 2 x 8"),
        (lambda: Quilting(patch=2), "patch must be at least 3, got 2"),
        (lambda: Quilting(patch=6, overlap=6), r"overlap must lie in \[1, patch - 1 = 5\], got 6"),
        (lambda: Quilting(alpha=2), r"alpha must lie in \[0, 1\], got 2"),
        (lambda: Quilting(patch=24)(noise(), 8, 8), "patch must be at most the sides of the sample, 20 x 20, got 24"),
        (lambda: Quilting(patch=6)(noise(), 8, 8, content=noise()), "content must be of 8 x 8 pixels"),
    ],
)
def test_wrong_options_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
