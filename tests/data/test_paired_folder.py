"""A person's own pairs: two folders, or two pictures in a file; in splits or not; and layouts that are nearly so."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from genexp.data.datamodule import ImageData
from genexp.data.paired_folder import PairedFolder
from genexp.data.source import BadImage


def picture(path, value=0, size=(16, 16), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size[::-1], value, np.uint8)).convert(mode).save(path)


def in_folders(root, names, splits=("train", "val", "test")):
    """Pairs of which number i is of grey 10 i, and its target one brighter."""
    for split in splits:
        for i, name in enumerate(names):
            picture(root / split / "source" / f"{name}.png", 10 * i)
            picture(root / split / "target" / f"{name}.bmp", 10 * i + 1)


def side_by_side(path, left, right, size=16):
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = [np.full((size, size), value, np.uint8) for value in (left, right)]
    Image.fromarray(np.concatenate(halves, 1)).save(path)


def opened(root, **options):
    return PairedFolder(root, 8, **{"channels": 1, "source_channels": 1, **options})


def values(folder, split="train"):
    examples = folder.split(split)
    read = examples.read(torch.arange(len(examples)))
    return [(int(s.float().mean()), int(t.float().mean())) for s, t in zip(read["source"], read["image"], strict=True)]


def test_files_of_one_name_are_pairs(tmp_path):
    in_folders(tmp_path, ["b", "a/x", "c"])
    (tmp_path / "train" / "notes.txt").write_text("about")
    picture(tmp_path / "train" / "stray.png")
    folder = opened(tmp_path)
    assert values(folder) == [(10, 11), (0, 1), (20, 21)]  # in the order of their names
    assert values(folder, "test") == values(folder)
    said = "\n".join(folder.notes(None))
    assert "9 pairs in" in said
    assert "train 3, val 3, test 3" in said
    assert "pairs are files of one name in source and target" in said
    assert "splits are the folders train, val, test" in said
    assert "1 beside source and target" in said
    assert "stray.png" in said


@pytest.mark.parametrize(("side", "expected"), [("left", (10, 200)), ("right", (200, 10))])
def test_files_of_two_pictures_are_pairs(side, expected, tmp_path):
    for i in range(8):
        side_by_side(tmp_path / f"{i}.png", 10, 200)
    folder = opened(tmp_path, source_side=side, val_share=0.25, test_share=0.25)
    assert [len(folder.pairs[split]) for split in ("train", "val", "test")] == [4, 2, 2]
    assert values(folder, "val") == [expected] * 2
    assert f"files of two pictures, the source on the {side}" in folder.notes(None)
    assert "val and test cut from all pairs by shares" in folder.notes(None)
    assert len({folder.split("val").fingerprint, opened(tmp_path).split("val").fingerprint}) == 2


def test_shares_cut_whole_pairs_always_the_same(tmp_path):
    in_folders(tmp_path, [f"{i}" for i in range(20)], ["."])
    parts = {split: set(values(opened(tmp_path), split)) for split in ("train", "val", "test")}
    assert [len(part) for part in parts.values()] == [17, 1, 2]
    assert len(set.union(*parts.values())) == 20
    assert all(target == source + 1 for part in parts.values() for source, target in part)


def test_both_pictures_have_channels_of_their_own_and_move_together(tmp_path):
    for i, split in enumerate(("train", "val", "test")):
        for name in range(6):
            ramp = np.add.outer(np.arange(16), 3 * np.arange(16)).astype(np.uint8) + 20 * i
            for side in ("source", "target"):
                (tmp_path / split / side).mkdir(parents=True, exist_ok=True)
                Image.fromarray(ramp).convert("RGB").save(tmp_path / split / side / f"{name}.png")
    source = PairedFolder(tmp_path, 16, channels=3, source_channels=1)
    augment = [v2.RandomHorizontalFlip(0.5), v2.RandomResizedCrop(16, (0.5, 0.5), (1, 1)), v2.RandomCrop(16, 2)]
    data = ImageData(source, [3, 16, 16], None, 6, 16, 3, augment=augment)
    batch = next(iter(data.train_dataloader()))
    data.trainer = type("T", (), {"training": True, "global_rank": 0, "world_size": 1})()
    moved = data.on_after_batch_transfer(batch, 0)
    assert moved["image"].shape == (6, 3, 16, 16)
    assert moved["source"].shape == (6, 1, 16, 16)
    torch.testing.assert_close(moved["image"][:, :1], moved["source"], atol=2 / 255 + 1e-6, rtol=0)
    assert not torch.allclose(moved["source"][0], moved["source"][1])


def test_a_pair_that_cannot_be_used_is_named_or_left_out(tmp_path, capsys):
    in_folders(tmp_path, ["a", "b", "c", "d"])
    picture(tmp_path / "train" / "target" / "b.bmp", 11, (16, 12))
    with pytest.raises(BadImage, match=r"b\.bmp: it has 16 x 12 pixels, its source 16 x 16"):
        values(opened(tmp_path))
    (tmp_path / "train" / "source" / "c.png").write_bytes(b"no picture")
    (tmp_path / "train" / "target" / "d.bmp").unlink()
    with pytest.raises(ValueError, match=r"same names, got 1 source without target, first .*train/source/d\.png"):
        opened(tmp_path).pairs  # noqa: B018
    folder = opened(tmp_path, on_bad_image="skip")
    data = ImageData(folder, [1, 8, 8], None, 1, 8, 1)
    assert data.split_size("train") == 1
    assert "1 without a partner of its name" in "\n".join(folder.notes(None))
    assert "skipped 2 of 3 images" in capsys.readouterr().out


def test_files_that_are_no_two_squares_are_refused(tmp_path):
    for i in range(4):
        side_by_side(tmp_path / f"{i}.png", 1, 2)
    picture(tmp_path / "wide.png", 0, (24, 16))
    with pytest.raises(BadImage, match=r"wide\.png: it has 24 x 16 pixels and is no two squares side by side; other"):
        [values(opened(tmp_path), split) for split in ("train", "val", "test")]


def _only_source(root):
    picture(root / "train" / "source" / "a.png")


def _cyclegan(root):
    for name in ("trainA", "trainB", "testA"):
        picture(root / name / "a.png")


def _inside_out(root):
    for side in ("source", "target"):
        in_folders(root / side, ["a", "b", "c", "d"])


def _inverted(root):
    for side in ("source", "target"):
        picture(root / side / "train" / "a.png")


def _twice(root):
    in_folders(root, ["a", "b", "c", "d"])
    picture(root / "train" / "source" / "a.jpg")


def _mixed(root):
    in_folders(root, ["a", "b"], ["train"])
    side_by_side(root / "test" / "a.png", 1, 2)


def _few(root):
    side_by_side(root / "a.png", 1, 2)


@pytest.mark.parametrize(
    ("lay", "message"),
    [
        (_only_source, "root must hold one folder source and one folder target, got folder source in .*train"),
        (
            _cyclegan,
            "root must hold folders source and target .*, or files of two .*, got folders testA, trainA, trainB",
        ),
        (_inverted, "split folders must lie above source and target, as in train/source, got train in .*source"),
        (_twice, r"source must hold one picture of a name, got a\.\w+ and a\.\w+, endings apart"),
        (_mixed, "root must hold pairs of one layout in all splits, got both in"),
        (_few, r"root must hold at least 3 pairs \(.*\), got 1 in"),
        (lambda root: root.rmdir(), "root must be an existing folder of pairs, got"),
    ],
)
def test_what_only_resembles_a_layout_is_refused(lay, message, tmp_path):
    lay(tmp_path)
    with pytest.raises(ValueError, match=message):
        opened(tmp_path).pairs  # noqa: B018


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source_side": "top"}, "source_side must be left or right, got 'top'"),
        ({"source_channels": 2}, r"source_channels must be 1 \(grey\) or 3 \(RGB\), got 2"),
        ({"val_share": 0.7, "test_share": 0.4}, "val_share and test_share must be at least 0 and sum to less than 1"),
        ({"on_bad_image": "warn"}, "on_bad_image must be error or skip, got 'warn'"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, **options)
