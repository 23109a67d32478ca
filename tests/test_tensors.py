import pytest
import torch

from genexp.tensors import IndexedNoise, expand_to, image_grid, mix_seed, seed_generators, to_float, to_uint8


def test_uint8_round_trip_is_exact_for_all_levels():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(to_uint8(to_float(levels)), levels)
    assert to_float(levels).min() == -1
    assert to_float(levels).max() == 1


def test_conversions_refuse_the_wrong_kind():
    with pytest.raises(TypeError, match="uint8"):
        to_float(torch.zeros(2))
    with pytest.raises(TypeError, match="float image"):
        to_uint8(torch.zeros(2, dtype=torch.uint8))


def test_values_outside_the_range_are_clipped():
    assert to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_noise_of_a_sample_depends_on_its_index_alone():
    whole = IndexedNoise(7, range(10))
    first, second = whole.normal(3, 4, 4), whole.normal(2)
    for batch in ([0, 1, 2], [3, 4], [9, 5, 8, 7, 6]):
        part = IndexedNoise(7, batch)
        assert torch.equal(part.normal(3, 4, 4), first[batch])
        assert torch.equal(part.normal(2), second[batch])
    assert not torch.equal(IndexedNoise(8, range(10)).normal(3, 4, 4), first)


def test_noise_is_standard_normal_and_independent_across_indices():
    values = IndexedNoise(0, range(2000)).normal(50)
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    correlation = torch.corrcoef(values[:50])
    assert (correlation - torch.eye(50)).abs().max() < 0.75


def test_mixed_seeds_do_not_collide():
    seeds = {mix_seed(seed, rank, batch) for seed in range(10) for rank in range(8) for batch in range(200)}
    assert len(seeds) == 16_000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mix_seed(1, 2) != mix_seed(2, 1)


def test_grid_puts_every_image_where_it_belongs():
    images = torch.linspace(-1, 1, 6)[:, None, None, None].expand(6, 1, 4, 5)
    grid = image_grid(images, columns=3, padding=1)
    assert grid.shape == (3, 2 * 5 + 1, 3 * 6 + 1)
    assert grid[:, 0].eq(255).all()
    for i in range(6):
        top, left = 1 + (i // 3) * 5, 1 + (i % 3) * 6
        assert (grid[:, top : top + 4, left : left + 5] == to_uint8(images[i, 0, 0, 0])).all()


def test_grid_refuses_channels_it_cannot_show():
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        image_grid(torch.zeros(1, 2, 4, 4))


def test_expand_to_broadcasts_per_sample_values():
    assert expand_to(torch.tensor([1.0, 2.0]), torch.zeros(2, 3, 4, 4)).shape == (2, 1, 1, 1)


def test_seeding_the_generators_of_a_cpu_is_seeding_by_hand():
    torch.manual_seed(7)
    expected = torch.rand(5)
    seed_generators(7, torch.device("cpu"))
    assert torch.equal(torch.rand(5), expected)
