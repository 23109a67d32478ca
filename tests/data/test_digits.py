import pytest
import torch
from sklearn.datasets import load_digits

from genexp.data.digits import Digits, digit_levels, resize_levels
from genexp.data.source import ContentDigest


def _all(examples):
    return examples.read(torch.arange(len(examples)))


def test_the_three_splits_are_the_whole_dataset_once():
    levels = torch.cat([digit_levels(name)[0] for name in ("train", "val", "test")]).reshape(-1, 64)
    assert [len(digit_levels(name)[1]) for name in ("train", "val", "test")] == [1197, 200, 400]
    everything = torch.from_numpy(load_digits(return_X_y=True)[0]).float()

    def rows(table):
        return sorted(map(tuple, table.int().tolist()))

    assert rows(levels) == rows(everything)


def test_classes_have_equal_shares_in_every_split():
    counts = {name: digit_levels(name)[1].bincount(minlength=10).float() for name in ("train", "val", "test")}
    total = sum(counts.values())
    for count in counts.values():
        expected = total * count.sum() / total.sum()
        assert (count - expected).abs().max() <= 1


def test_the_split_is_pinned():
    digest = ContentDigest()
    digest.add(_all(Digits().split("test")))
    assert digest.hexdigest() == "cfe7698d2b97904c6a053466a8efd4fc56189853e4d5e1cc48500e640680f779"


def test_native_images_hold_the_seventeen_levels():
    image = _all(Digits().split("train"))["image"]
    levels = (torch.arange(17) * 255 / 16).round().to(torch.uint8)
    assert image.shape == (1197, 1, 8, 8)
    assert image.dtype == torch.uint8
    assert torch.equal(image.unique(), levels)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_resizing_keeps_constants_and_shape(interpolation):
    flat = torch.full((2, 1, 8, 8), 16.0)
    for size in (4, 8, 16, 28):
        resized = resize_levels(flat, size, interpolation)
        assert resized.shape == (2, 1, size, size)
        assert (resized == 255).all()


def test_nearest_repeats_pixels():
    levels, _ = digit_levels("val")
    large = resize_levels(levels, 16, "nearest")
    assert torch.equal(large[..., ::2, ::2], resize_levels(levels, 8, "nearest"))
    assert torch.equal(large[..., ::2, :], large[..., 1::2, :])


def test_three_channels_repeat_the_grey_one():
    image = _all(Digits(channels=3).split("val"))["image"]
    assert image.shape == (200, 3, 8, 8)
    assert torch.equal(image[:, 0], image[:, 2])


def test_fingerprints_tell_variants_apart():
    variants = [Digits(), Digits(16), Digits(16, interpolation="nearest"), Digits(channels=3)]
    prints = {source.split(name).fingerprint for source in variants for name in ("train", "val", "test")}
    assert len(prints) == 12
    assert Digits().split("val").fingerprint == Digits().split("val").fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size must be at least 1 pixel, got 0"),
        ({"channels": 4}, r"channels must be 1 \(grey\) or 3 \(RGB\), got 4"),
        ({"interpolation": "cubic"}, "interpolation must be nearest, bilinear or bicubic, got 'cubic'"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        Digits(**options)


def test_an_unknown_split():
    with pytest.raises(ValueError, match="split must be one of train, val, test, got 'valid'"):
        Digits().split("valid")
