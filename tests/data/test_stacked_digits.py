import pytest
import torch

from genexp.data.digits import Digits
from genexp.data.source import Arrays
from genexp.data.stacked_digits import StackedDigits
from genexp.data.toy2d import Toy2d


def test_every_thousand_images_show_every_mode_once():
    label = StackedDigits(Digits()).split("val").read(torch.arange(2000))["label"]
    assert torch.equal(label.reshape(2, 1000).sort(1).values, torch.arange(1000).expand(2, -1))


def test_channels_are_digits_of_the_label_from_the_same_split():
    stacked = StackedDigits(Digits()).split("test").read(torch.arange(300))
    single = Digits().split("test")
    single = single.read(torch.arange(len(single)))
    for channel, power in enumerate((100, 10, 1)):
        digit = stacked["label"] // power % 10
        for image, wanted in zip(stacked["image"][:, channel], digit, strict=True):
            same = (single["image"][:, 0] == image).flatten(1).all(1)
            assert wanted in single["label"][same]


def test_images_vary_within_a_mode_and_by_index_alone():
    long = StackedDigits(Digits(), train_images=5000).split("train").read(torch.arange(5000))
    short = StackedDigits(Digits(), train_images=1200).split("train").read(torch.arange(1200))
    assert torch.equal(long["image"][:1200], short["image"])
    assert len(torch.unique(long["image"][long["label"] == 123].flatten(1), dim=0)) == 5


def test_all_pictures_of_a_class_are_used():
    examples = StackedDigits(Digits()).split("train")
    chosen = examples._parts[1]
    assert len(chosen.unique()) == 1197
    assert chosen.flatten().bincount().float().std() / (150_000 / 1197) < 0.15


@pytest.mark.parametrize(
    ("digits", "message"),
    [
        (Toy2d("ring"), "digits must be a source with 10 classes, got 8"),
        (Toy2d("swiss_roll"), "digits must be a source with 10 classes, got 0"),
    ],
)
def test_the_source_must_have_ten_classes(digits, message):
    with pytest.raises(ValueError, match=message):
        StackedDigits(digits)


class _Lopsided:
    classes = tuple("0123456789")

    def __init__(self, channels, classes):
        image = torch.zeros(20, channels, 8, 8, dtype=torch.uint8)
        self.examples = Arrays({"image": image, "label": torch.arange(20) % classes}, "x")

    def split(self, name):
        return self.examples


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (_Lopsided(3, 10), "digits must have 1 channel, got 3"),
        (_Lopsided(1, 7), "digits must hold every class, got none of class 7"),
    ],
)
def test_the_source_must_be_grey_and_complete(source, message):
    with pytest.raises(ValueError, match=message):
        StackedDigits(source).split("train").read(torch.arange(3))
