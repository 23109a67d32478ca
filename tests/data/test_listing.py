"""What lies in a folder of pictures: nothing is read as something else, and nothing is passed over in silence."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from genexp.data.datamodule import ImageData
from genexp.data.folder import Folder
from genexp.data.listing import find_pictures, in_words
from genexp.data.source import BadImage

ALL = {"val_share": 0, "test_share": 0}


def _paint(path, level=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (9, 9), level).save(path)
    return path


def _fill(root, names, count=4):
    for number, name in enumerate(names):
        for level in range(count):
            _paint(root / name / f"{level}.png", 10 * number + level)
    return root


def _sizes(source):
    return [len(part) for part in source.pictures.values()]


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("Train", "Val", "Test"),
        ("training", "validation", "testing"),
        ("TRAINING", "valid", "test"),
        ("train", "dev", "Testing"),
    ],
)
def test_splits_are_known_by_their_usual_names_in_any_case(tmp_path, train, val, test):
    _fill(tmp_path, [f"{split}/{name}" for split in (train, val, test) for name in ("cat", "dog")])
    source = Folder(tmp_path, 8)
    assert source.classes == ["cat", "dog"]
    assert _sizes(source) == [8, 8, 8]
    level = source.split("test").read(torch.tensor([0]))["image"][0, 0, 0, 0]
    assert level == 40  # the fifth folder that was painted


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["val", "valid", "train"], "root must hold one folder for val, got val and valid in"),
        (["train", "Training"], "root must hold one folder for train, got Training and train in"),
        (["Test", "cat"], "root must hold a train folder beside Test, or no folder with a split's name"),
        (["train2017", "val2017"], "split folders must be called train or training; .*, got train2017, val2017 in"),
        (["train_set", "test_set"], "got test_set, train_set in"),
        (["trains", "Tests"], "got Tests, trains in"),
        (["trainset", "testset"], "got testset, trainset in"),
        (["cat/train", "cat/test", "dog/train", "dog/test"], "must lie above class folders, as in test/cat, got"),
        (["images/train", "images/val"], "root must be the folder that holds the split folders, got train, val in"),
    ],
)
def test_layouts_in_doubt_are_named_and_not_read_as_classes(tmp_path, names, message):
    _fill(tmp_path, names)
    with pytest.raises(ValueError, match=message):
        Folder(tmp_path, 8).split("train")


@pytest.mark.parametrize("names", [["train_station", "airport"], ["validity", "trainer"], ["cat/test", "dog/test"]])
def test_classes_whose_names_only_begin_like_splits_stay_classes(tmp_path, names):
    _fill(tmp_path, names)
    assert len(Folder(tmp_path, 8).classes) == 2


def test_what_was_found_is_said_with_its_classes_and_what_uses_them(tmp_path):
    _fill(tmp_path, ["Train/cat", "Train/dog", "Test/cat", "Test/dog"])
    notes = Folder(tmp_path, 8, val_share=0.25).notes(None)
    assert notes == [
        f"16 pictures in {tmp_path}: train 6, val 2, test 8, 2 class folders (cat, dog)",
        "splits are the folders Train, Test",
        "val cut from Train by shares",
        "class folders are not used as labels: data.num_classes=2 uses them",
    ]
    assert "data.num_classes" not in " ".join(Folder(tmp_path, 8).notes(2))


def test_a_class_that_only_some_splits_have_is_said(tmp_path):
    _fill(tmp_path, ["train/cat", "train/dog", "test/Cat", "test/dog"])
    notes = Folder(tmp_path, 8, val_share=0).notes(3)
    assert "class folder Cat is only in test" in notes
    assert "class folder cat is only in train" in notes


def test_links_without_an_end_beside_the_split_folders_hide_none_of_them(tmp_path):
    _fill(tmp_path, ["train/cat", "test/cat"])
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    assert _sizes(Folder(tmp_path, 8, val_share=0)) == [4, 0, 4]


def test_what_was_passed_over_is_said_with_the_reason(tmp_path):
    _fill(tmp_path, ["train", "holdout"])
    _paint(tmp_path / "loose.png")
    _paint(tmp_path / "train" / ".x.png")
    for name in ("a.heic", "b.heic", "c.txt"):
        (tmp_path / "train" / name).touch()
    (passed,) = [line for line in Folder(tmp_path, 8).notes(None) if "passed over" in line]
    assert passed.startswith("passed over 9 files: 5 beside the split folders; 2 of another kind (.heic); 1 ")
    assert "1 hidden" in passed
    assert f"1 of another kind (.txt): {tmp_path}/train/c.txt" in passed


@pytest.mark.parametrize("ending", ["jfif", "jpe", "avif", "jp2", "JPG", "tiff", "pnm"])
def test_every_usual_ending_is_a_picture(tmp_path, ending):
    kind = {"jfif": "JPEG", "jpe": "JPEG", "JPG": "JPEG", "pnm": "PPM"}.get(ending)
    for level in range(3):
        Image.new("RGB", (9, 9), (level, 0, 0)).save(tmp_path / f"{level}.{ending}", format=kind)
    assert len(Folder(tmp_path, 8, **ALL).split("train").read(torch.arange(3))["image"]) == 3


def test_a_stray_picture_is_named_where_classes_are_wanted(tmp_path):
    _fill(tmp_path, ["ant", "bee"])
    stray = _paint(tmp_path / "loose.png")
    data = ImageData(Folder(tmp_path, 8, **ALL), [3, 8, 8], 2, 4, 8, 3)
    message = rf"num_classes must be null .*\(1 picture of 9 in no class folder, first {stray}\), got 2"
    with pytest.raises(ValueError, match=message):
        data.stored("train")
    assert f"first {stray}" in " ".join(data.described())


def _damage(root):
    """One of each: a dangling link, a loop, a pipe, a broken file, and a file that cannot be read."""
    (root / "gone.png").symlink_to(root / "nothing.png")
    (root / "ring.png").symlink_to(root / "ring.png")
    os.mkfifo(root / "pipe.png")
    (root / "cut.png").write_bytes(b"\x89PNG")
    return 4


@pytest.mark.parametrize("in_memory", [True, False])
def test_skip_goes_on_whatever_a_file_is(tmp_path, in_memory, capsys):
    _fill(tmp_path / "p", [""])
    odd = [os.fsdecode(b"\xff\xfe.png"), "two\nlines.png", "\x1b[31mred.png", "comma, 'quote\".png"]
    for name in odd:
        _paint(tmp_path / "p" / name)
    bad = _damage(tmp_path / "p")
    data = ImageData(
        Folder(tmp_path / "p", 8, on_bad_image="skip", val_share=0.2),
        *([3, 8, 8], None, 4, 8, 3),
        in_memory=in_memory,
        cache_dir=tmp_path / "cache",
    )
    data.setup()
    assert data.split_size("train") + data.split_size("val") + len(data.source.pictures["test"]) in (8, 9)
    print("\n".join(data.described()))
    shown = capsys.readouterr().out
    shown.encode()  # undecodable names can be written
    assert "\x1b" not in shown
    assert f"passed over {bad - 1} files" in shown
    assert "it is a link that leads nowhere" in shown
    assert "not a regular file" in shown


def test_a_folder_without_pictures_says_what_it_holds_instead(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.heic").touch()
    with pytest.raises(ValueError, match=r"got 0 in .*; passed over 3 files: 3 of another kind \(\.heic\)"):
        Folder(tmp_path, 8).split("train")


@pytest.mark.parametrize("name", ["gone.png", "ring.png", "pipe.png"])
def test_without_skip_the_file_is_named(tmp_path, name):
    _fill(tmp_path, [""])
    _damage(tmp_path)
    for each in {"gone.png", "ring.png", "pipe.png", "cut.png"} - {name}:
        (tmp_path / each).unlink()
    with pytest.raises(BadImage, match=f"cannot use image .*{name}: it is"):
        Folder(tmp_path, 8).split("train")


def test_a_folder_that_cannot_be_listed_is_an_error_or_said(tmp_path, monkeypatch):
    _fill(tmp_path, ["open", "closed"])
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BadImage, match="closed: the folder cannot be listed: Permission denied"):
        find_pictures(tmp_path)
    found = find_pictures(tmp_path, skip=True)
    assert len(found.pictures) == 4
    assert "closed" in in_words(found.passed)


def test_a_file_that_vanishes_after_the_listing_is_a_bad_image(tmp_path):
    _fill(tmp_path, [""], count=6)
    data = ImageData(Folder(tmp_path, 8, on_bad_image="skip", **ALL), [3, 8, 8], None, 4, 8, 3)
    victim = Path(data.source.pictures["train"][0].file)
    victim.unlink()
    assert data.split_size("train") == 5


@pytest.mark.parametrize("names", [("ant", "bee"), ("bee", "ant")])
def test_two_class_folders_that_are_one_folder_are_two_classes_and_it_is_said(tmp_path, names):
    real, link = names
    _fill(tmp_path / "zoo", [real, "cat"])
    (tmp_path / "zoo" / link).symlink_to(tmp_path / "zoo" / real)
    source = Folder(tmp_path / "zoo", 8, **ALL)
    assert source.classes == ["ant", "bee", "cat"]
    assert _sizes(source) == [12, 0, 0]
    assert "class folders ant and bee are one folder" in source.notes(3)


def test_folders_that_link_to_each_other_are_walked_once_in_each_class(tmp_path):
    names = [f"c{number}" for number in range(9)]
    _fill(tmp_path, names, count=1)
    for name in names:
        for other in names:
            (tmp_path / name / f"to_{other}").symlink_to(tmp_path / other)
        (tmp_path / name / "up").symlink_to(tmp_path)
    found = find_pictures(tmp_path)
    assert len(found.pictures) == 81
    assert any("read already" in each.reason for each in found.passed)


@pytest.mark.parametrize("in_memory", [True, False])
def test_the_first_frame_of_an_animation_is_read_and_that_is_said_again_from_the_cache(tmp_path, capsys, in_memory):
    _fill(tmp_path / "p", [""])
    frames = [Image.new("L", (9, 9), level) for level in (200, 10)]
    frames[0].save(tmp_path / "p" / "moving.gif", save_all=True, append_images=frames[1:])
    for _ in range(2):
        source = Folder(tmp_path / "p", 8, **ALL)
        data = ImageData(source, [3, 8, 8], None, 4, 8, 3, in_memory=in_memory, cache_dir=tmp_path / "cache")
        image = data.stored("train").examples.read(torch.tensor([4]))["image"]
        assert image[0, 0, 0, 0] == 200
        assert f"the first frame is read of 1 file with several: {tmp_path}/p/moving.gif" in capsys.readouterr().out
