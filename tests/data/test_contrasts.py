"""Pairs of one anatomy in two contrasts: fixed by the index, apart between splits, and no lookup of grey values."""

import pytest
import torch

from genexp.data.contrasts import TISSUES, Contrasts, anatomy, bias_field


def read(split="train", rows=range(6), **options):
    return Contrasts(**options).split(split).read(torch.tensor(list(rows)))


def test_a_pair_is_fixed_by_its_index_alone():
    every = read()
    assert every["image"].shape == every["source"].shape == (6, 1, 32, 32)
    assert every["image"].dtype == every["source"].dtype == torch.uint8
    few = read(rows=[4, 1], train_images=100)
    for name in ("image", "source"):
        assert torch.equal(few[name], every[name][[4, 1]])


def test_no_anatomy_is_in_two_splits_or_twice_in_one():
    found = [
        each for split in ("train", "val", "test") for each in read(split, range(100))["source"].float().flatten(1)
    ]
    distances = torch.cdist(torch.stack(found), torch.stack(found)) + 1e9 * torch.eye(300)
    assert distances.min() > 300  # noise alone puts two pictures of one anatomy about 230 apart


@pytest.mark.parametrize("size", [8, 24, 64])
def test_other_sizes_show_the_same_anatomy(size):
    numbers = torch.rand(3, 40, generator=torch.Generator().manual_seed(0))
    fine, coarse = anatomy(numbers, 8 * size), anatomy(numbers, size)
    for whole, small in zip(fine, coarse, strict=True):
        shrunk = torch.nn.functional.avg_pool2d(whole[:, None] if whole.ndim == 3 else whole, 8)
        assert (shrunk - (small[:, None] if small.ndim == 3 else small)).abs().mean() < 0.03


def test_shares_of_tissues_make_up_every_pixel_and_the_target():
    numbers = torch.rand(20, 40, generator=torch.Generator().manual_seed(0))
    source, target, shares = anatomy(numbers, 32)
    torch.testing.assert_close(shares.sum(1), torch.ones_like(source))
    values = torch.tensor([value for _, value in TISSUES.values()])
    torch.testing.assert_close(torch.einsum("bthw,t->bhw", shares, values), target)
    assert (shares.amax((0, 2, 3)) > 0.9).all()
    assert source.min() >= 0
    assert source.max() <= 1.0 + 1e-6


def test_grey_values_of_the_source_do_not_say_those_of_the_target():
    pairs = read(rows=range(300))
    source, target = pairs["source"].flatten().long(), pairs["image"].flatten().double()
    count = torch.zeros(256).double().index_add_(0, source, torch.ones_like(target))
    mean = torch.zeros(256).double().index_add_(0, source, target) / count.clamp(min=1)
    body = source > 30
    unexplained = ((target - mean[source])[body] ** 2).mean() / target[body].var()
    assert unexplained > 0.2  # by the best map of grey values, on the data that it was fitted to
    shown = read(rows=range(300), bias=0.0)["image"].flatten().double()
    assert ((target - shown)[body] ** 2).mean() / target[body].var() < 0.1  # of which the field is little


def test_the_field_is_slow_and_within_its_strength():
    field = bias_field(torch.rand(50, 3, generator=torch.Generator().manual_seed(0)), 32, 0.2)
    assert field.min() >= 0.8
    assert field.max() <= 1
    assert field.diff(dim=1).abs().max() < 0.2 * 0.5 * 1.5 * 2 / 32 * 1.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 20}, "image_size must be a multiple of 8 pixels, got 20"),
        ({"bias": 0.7}, r"bias must lie in \[0, 0.5\], got 0.7"),
        ({"val_images": 0}, "val_images must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Contrasts(**arguments)


def test_without_pairs_no_source_of_training_shows_the_anatomy_of_an_image_and_held_out_pairs_stay():
    paired, unpaired = read(train_images=6), read(train_images=6, paired=False)
    assert torch.equal(paired["image"], unpaired["image"])
    others = unpaired["source"].float().flatten(1)
    assert torch.cdist(others, paired["source"].float().flatten(1)).min() > 300
    assert len(others.unique(dim=0)) == 6
    for split in ("val", "test"):
        assert torch.equal(read(split)["source"], read(split, paired=False)["source"])
