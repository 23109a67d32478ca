import math

import pytest
import torch

from genexp.data.toy2d import Toy2d


def _all(source, split="train"):
    return source.split(split).columns


def test_the_ring_has_eight_distinct_modes_at_equal_angles():
    centres = Toy2d("ring", scale=2.0).centres
    assert torch.allclose(centres.norm(dim=1), torch.full((8,), 2.0))
    gaps = torch.cdist(centres, centres).fill_diagonal_(math.inf).min(1).values
    assert torch.allclose(gaps, torch.full((8,), 4 * math.sin(math.pi / 8)), atol=1e-5)
    assert torch.allclose(centres.mean(0), torch.zeros(2), atol=1e-6)


def test_the_grid_has_25_modes_at_equal_distances():
    centres = Toy2d("grid").centres
    assert centres.shape == (25, 2)
    gaps = torch.cdist(centres, centres).fill_diagonal_(math.inf).min(1).values
    assert torch.allclose(gaps, torch.full((25,), 0.5))
    assert centres.abs().max() == 1


@pytest.mark.parametrize("kind", ["ring", "grid"])
def test_points_scatter_around_the_centre_of_their_label(kind):
    source = Toy2d(kind, std=0.03)
    columns = _all(source)
    offset = columns["image"] - source.centres[columns["label"]]
    assert abs(offset.std() - 0.03) < 3e-4
    assert offset.mean(0).abs().max() < 5e-4
    shares = columns["label"].bincount() / len(columns["label"])
    assert torch.allclose(shares, torch.full_like(shares, 1 / len(source.centres)), atol=0.005)
    assert len(source.classes) == len(source.centres)


def test_the_swiss_roll_lies_on_its_spiral():
    points = _all(Toy2d("swiss_roll", std=0.0))["image"].double()
    radius = points.norm(dim=1)
    angle = radius * 4.5 * math.pi
    assert radius.min() >= 1 / 3 - 1e-6
    assert radius.max() <= 1 + 1e-6
    expected = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    assert torch.allclose(points, expected, atol=1e-4)


def test_the_moons_lie_on_two_half_circles_that_do_not_touch():
    columns = _all(Toy2d("moons", std=0.0))
    for label, sign in ((0, 1), (1, -1)):
        points = columns["image"][columns["label"] == label] * 1.5
        centred = sign * points + torch.tensor([0.5, 0.25])
        assert torch.allclose(centred.norm(dim=1), torch.ones(len(points)), atol=1e-5)
        assert (centred[:, 1] >= -1e-5).all()
    first, second = (columns["image"][columns["label"] == label][:2000] for label in (0, 1))
    assert torch.cdist(first, second).min() > 0.1


def test_the_checkerboard_fills_the_dark_squares_alone_and_evenly():
    columns = _all(Toy2d("checkerboard"))
    column, row = ((columns["image"] + 1) * 2).floor().long().clamp(0, 3).T
    assert ((column + row) % 2 == 0).all()
    assert torch.equal(columns["label"], row * 2 + column // 2)
    shares = columns["label"].bincount(minlength=8) / len(row)
    assert torch.allclose(shares, torch.full((8,), 1 / 8), atol=0.005)
    place = (columns["image"] + 1) * 2 % 1
    assert torch.allclose(place.mean(0), torch.full((2,), 0.5), atol=0.005)
    assert torch.allclose(place.var(0), torch.full((2,), 1 / 12), atol=0.002)


@pytest.mark.parametrize("kind", ["ring", "grid", "swiss_roll", "moons", "checkerboard"])
def test_points_depend_on_their_index_alone_and_splits_differ(kind):
    long, short = _all(Toy2d(kind)), _all(Toy2d(kind, train_points=1500))
    assert long["image"].shape == (100_000, 2)
    assert torch.equal(long["image"][:1500], short["image"])
    assert not torch.equal(_all(Toy2d(kind), "val")["image"][:1500], short["image"])
    assert long["image"].abs().max() < 1.2


def test_fingerprints_tell_variants_apart():
    variants = [Toy2d("ring"), Toy2d("grid"), Toy2d("ring", std=0.1), Toy2d("ring", val_points=7)]
    assert len({source.split(name).fingerprint for source in variants for name in ("train", "val")}) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "spiral"}, "kind must be one of ring, grid, .*, got 'spiral'"),
        ({"std": -0.1}, "std must be at least 0, got -0.1"),
        ({"scale": 0.0}, "scale must be above 0, got 0.0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        Toy2d(**options)


def test_an_empty_split():
    with pytest.raises(ValueError, match="val_points must be at least 1, got 0"):
        Toy2d(val_points=0).split("val")
