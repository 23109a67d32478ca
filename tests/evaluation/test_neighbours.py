import pytest
import torch

from genexp.evaluation import neighbours
from genexp.evaluation.dealing import group_numbers, members_of
from genexp.evaluation.neighbours import distances, nearest, radii, radii_without_groups, smallest_distances


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def exact(rows, columns):
    return (rows.double()[:, None] - columns.double()).square().sum(2).sqrt().float()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 16)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_distances_are_exact_to_float32_however_far_from_zero(offset):
    rows, columns = normal(30, 5) + offset, normal(40, 5, seed=1) + offset
    torch.testing.assert_close(distances(rows, columns), exact(rows, columns), rtol=2e-7, atol=0)


def test_close_pairs_do_not_cancel():
    rows = normal(30, 5) * 1e3
    columns = rows + 1e-3 * normal(30, 5, seed=1)
    found, expected = distances(rows, columns), exact(rows, columns)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert (found.diagonal() < 1e-1).all()


def test_a_copy_is_at_distance_zero():
    points = normal(50, 7) * 100
    assert distances(points, points).diagonal().eq(0).all()


def test_a_distance_is_the_same_from_any_block_and_both_ways():
    rows, columns = normal(50, 33), normal(60, 33, seed=1)
    whole = distances(rows, columns)
    assert torch.equal(distances(columns, rows).mT, whole)
    assert torch.equal(distances(rows[7:9], columns[40:41]), whole[7:9, 40:41])


def test_neighbours_are_those_of_the_full_matrix():
    rows, columns = normal(37, 4), normal(53, 4, seed=1)
    full = exact(rows, columns)
    expected = full.sort(1)
    torch.testing.assert_close(smallest_distances(rows, columns, 5), expected.values[:, :5])
    distance, which = nearest(rows, columns)
    torch.testing.assert_close(distance, expected.values[:, 0])
    assert torch.equal(which, expected.indices[:, 0])


def test_a_point_is_not_its_own_neighbour_but_its_copy_is():
    points = torch.tensor([[0.0], [1.0], [1.0], [5.0]])
    assert radii(points, 1).tolist() == [1, 0, 0, 4]
    assert radii(points, 2).tolist() == [1, 1, 1, 4]
    distance, which = nearest(points, points, own=torch.arange(4))
    assert distance.tolist() == [1, 0, 0, 4]
    assert which.tolist() == [1, 2, 1, 1]  # the first of several


def test_leaving_a_group_out_is_leaving_its_points_out():
    points = normal(45, 3)
    groups = members_of(group_numbers(torch.arange(45)))
    found = radii_without_groups(points, groups, 3)
    torch.testing.assert_close(found[-1], radii(points, 3))
    for number, members in enumerate(groups):
        kept = torch.ones(45, dtype=torch.bool)
        kept[members] = False
        torch.testing.assert_close(found[number][kept], radii(points[kept], 3))
