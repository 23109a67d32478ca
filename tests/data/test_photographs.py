"""Patches of pictures of any sizes: fixed by their index, every place alike, and bad pictures named."""

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from genexp.data.content_style import Photographs
from genexp.data.photographs import Patches
from genexp.data.source import BadImage


def test_the_embedded_photographs_are_cut_at_their_own_scale():
    examples = Patches(Photographs("china.jpg"), 427, held_out=Photographs("flower.jpg")).split("val")
    photograph = torch.tensor(load_sample_image("flower.jpg")).permute(2, 0, 1)
    patch = examples.read(torch.tensor([0]))["image"][0]
    assert any(torch.equal(patch, photograph[:, :, left : left + 427]) for left in range(640 - 427 + 1))


def test_a_patch_depends_on_its_index_alone_and_splits_differ():
    source = Patches(Photographs(["china.jpg", "flower.jpg"]), 16, channels=1, train_patches=50)
    whole = source.split("train").read(torch.arange(50))["image"]
    assert whole.shape == (50, 1, 16, 16)
    assert torch.equal(source.split("train").read(torch.tensor([17, 3]))["image"], whole[[17, 3]])
    more = Patches(Photographs(["china.jpg", "flower.jpg"]), 16, channels=1).split("train")
    assert torch.equal(more.read(torch.arange(50))["image"], whole)
    assert not torch.equal(source.split("val").read(torch.arange(50))["image"], whole)
    assert len(source.split("test")) == 64


def test_every_place_of_every_picture_is_as_likely(tmp_path):
    for name, width, height, level in (("small", 8, 8, 10), ("wide", 24, 8, 100)):
        picture = Image.new("RGB", (width, height))
        picture.putdata([(level + x, y, 0) for y in range(height) for x in range(width)])
        picture.save(tmp_path / f"{name}.png")
    source = Patches(Photographs(tmp_path, val_share=0, test_share=0), 6)
    corner = source.split("train").read(torch.arange(4000))["image"][:, :, 0, 0]
    small = corner[:, 0] < 50
    assert float(small.float().mean()) == pytest.approx(3 / (3 + 19), abs=0.02)
    assert sorted(set(corner[small, 0].tolist())) == [10, 11, 12]
    assert sorted(set(corner[~small, 0].tolist())) == list(range(100, 119))
    assert sorted(set(corner[:, 1].tolist())) == [0, 1, 2]


def test_folders_hold_pictures_out_and_small_ones_are_named(tmp_path, capsys):
    for i in range(20):
        Image.new("RGB", (20, 20 if i else 7), (i, 0, 0)).save(tmp_path / f"{i:02}.png")

    def levels(split, on_bad_image):
        pictures = Photographs(tmp_path, val_share=0.2, test_share=0.2, on_bad_image=on_bad_image)
        return set(Patches(pictures, 10).split(split).read(torch.arange(64))["image"][:, 0, 0, 0].tolist())

    splits = [levels(split, "skip") for split in ("train", "val", "test")]
    assert len(set.union(*splits)) == sum(map(len, splits)) == 19
    assert "left out 1 picture smaller than image_size=10, first" in capsys.readouterr().out
    with pytest.raises(BadImage, match=r"00.png: it has 20 x 7 pixels, less than image_size=10"):
        [levels(split, "error") for split in ("train", "val", "test")]


def test_a_split_of_small_pictures_alone_is_named_where_they_are_left_out(tmp_path):
    for split, side in (("train", 20), ("val", 7), ("test", 20)):
        (tmp_path / split).mkdir()
        Image.new("RGB", (side, side)).save(tmp_path / split / "a.png")
    patches = Patches(Photographs(tmp_path, on_bad_image="skip"), 10)
    assert len(patches.split("train")) == 1_000_000
    with pytest.raises(BadImage, match=r"a.png: it has 7 x 7 pixels.*, and with all such left out val has none"):
        patches.split("val")


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="image_size must be at least 1, got 0"):
        Patches(Photographs("china.jpg"), 0)
    with pytest.raises(ValueError, match=r"channels must be 1 \(grey\) or 3 \(RGB\), got 2"):
        Patches(Photographs("china.jpg"), 8, channels=2)
    with pytest.raises(BadImage, match="it has 640 x 427 pixels, less than image_size=500"):
        Patches(Photographs("china.jpg"), 500).split("train")
