import pytest
import torch

from genexp.evaluation import feature_distances as module
from genexp.evaluation.dealing import group_numbers, members_of
from genexp.evaluation.feature_distances import blocks, distances, distances_to
from genexp.evaluation.neighbours import nearest, nearest_few, radii, radii_without_groups, smallest_distances


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def exact(rows, columns):
    return (rows.double()[:, None] - columns.double()).square().sum(2).sqrt().float()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 16)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_distances_are_exact_to_float32_however_far_from_zero(offset):
    rows, columns = normal(30, 5) + offset, normal(30, 5, seed=1) + offset
    assert torch.equal(distances(rows, columns), exact(rows, columns).diagonal())
    numbers = torch.arange(30).flip(0)[:, None].expand(-1, 2)
    assert torch.equal(distances_to(rows, columns, numbers)[:, 1], exact(rows, columns.flip(0)).diagonal())


def asked(rows, columns, radius, strictly=False):
    found = torch.zeros(len(rows), len(columns), dtype=torch.bool)
    for block in blocks(rows, columns):
        radii_here = radius[block.down, block.across]
        found[block.down, block.across] = block.within(radii_here, strictly)
    return found


KINDS = {
    "apart": lambda: (normal(37, 5), normal(53, 5, seed=1)),
    "far from zero": lambda: (normal(37, 5) + 1e4, normal(53, 5, seed=1) + 1e4),
    "huge": lambda: (normal(37, 5) * 1e30, normal(53, 5, seed=1) * 1e30),
    "tiny": lambda: (normal(37, 5) * 1e-30, normal(53, 5, seed=1) * 1e-30),
    "many dimensions": lambda: (normal(37, 900), normal(53, 900, seed=1)),
    "close together": lambda: (1e-5 * normal(37, 5) + 3, torch.cat([1e-5 * normal(50, 5, seed=1) + 3, normal(3, 5)])),
    "copies": lambda: (normal(5, 5).repeat(8, 1)[:37], normal(5, 5).repeat(11, 1)[:53]),
    "one point": lambda: (torch.ones(37, 5), torch.ones(53, 5)),
    "whole numbers": lambda: (torch.arange(37.0)[:, None] % 7, torch.arange(53.0)[:, None] % 5),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_within_a_radius_is_decided_by_exact_distances_even_on_the_surface(kind):
    rows, columns = KINDS[kind]()
    true = exact(rows, columns)
    for radius in (true, true.nextafter(torch.tensor(torch.inf)), true.nextafter(torch.tensor(0.0)), true.roll(1, 1)):
        assert torch.equal(asked(rows, columns, radius), true <= radius)
        assert torch.equal(asked(rows, columns, radius, strictly=True), true < radius)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 3, 52, 60])
def test_the_few_nearest_are_those_of_all_distances_in_order_and_the_first_of_equal_ones(kind, k):
    rows, columns = KINDS[kind]()
    values, numbers = exact(rows, columns).sort(dim=1, stable=True)
    found = nearest_few(rows, columns, k)
    assert torch.equal(found[0], values[:, :k])
    assert torch.equal(found[1], numbers[:, :k])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [8, 37])
def test_a_point_is_no_neighbour_of_itself_however_many_there_are(kind, count):
    points = KINDS[kind]()[0][:count]
    true = exact(points, points).fill_diagonal_(torch.inf)
    for k in (1, 3, 7):
        assert torch.equal(smallest_distances(points, points, k, torch.arange(count)), true.sort(1).values[:, :k])


def test_a_copy_is_at_distance_zero():
    points = normal(50, 7) * 100
    assert nearest(points, points)[0].eq(0).all()


def test_runs_beside_of_no_rows_are_none():
    values, numbers = nearest_few(normal(0, 5), normal(20, 5), 3)
    assert values.shape == numbers.shape == (0, 3)


def test_runs_beside_are_those_of_the_full_matrix():
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


@pytest.mark.parametrize("spread", [False, True])
def test_leaving_a_group_out_is_leaving_its_points_out(spread):
    points = normal(45, 3)
    dealt = group_numbers(torch.arange(45))
    if not spread:  # those of a group lie so close together that few of the nearest are others
        points = points * 1e-3 + 10 * dealt[:, None]
    groups = members_of(dealt)
    found = radii_without_groups(points, groups, 3)
    assert torch.equal(found[-1], radii(points, 3))
    for number, members in enumerate(groups):
        kept = torch.ones(45, dtype=torch.bool)
        kept[members] = False
        assert torch.equal(found[number][kept], radii(points[kept], 3))
