import shutil

import pytest
import torch
from PIL import Image

from genexp.data.datamodule import ImageData
from genexp.data.folder import Folder
from genexp.data.source import BadImage


def _paint(path, level, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).save(path)


def _levels(source, split):
    examples = source.split(split)
    return examples.read(torch.arange(len(examples)))["image"][:, 0, 0, 0].tolist()


@pytest.fixture
def flat(tmp_path):
    for level in range(40):
        _paint(tmp_path / "pictures" / f"{level:02d}.png", level)
    return tmp_path / "pictures"


@pytest.fixture
def classes(tmp_path):
    for number, name in enumerate(("ant", "bee", "cat")):
        for level in range(10):
            _paint(tmp_path / "zoo" / name / "raw" / f"{level}.png", 10 * number + level)
    return tmp_path / "zoo"


def _data(source, **options):
    return ImageData(source, [3, 8, 8], None, 4, 8, 3, **options)


def test_three_disjoint_splits_cover_the_folder(flat):
    source = Folder(flat, 8, val_share=0.1, test_share=0.2)
    parts = [_levels(source, name) for name in ("train", "val", "test")]
    assert [len(part) for part in parts] == [28, 4, 8]
    assert sorted(level for part in parts for level in part) == list(range(40))
    assert source.classes is None


def test_the_split_follows_the_names_not_the_place(flat, tmp_path):
    shutil.copytree(flat, tmp_path / "copy")
    for name in ("train", "val", "test"):
        assert _levels(Folder(flat, 8), name) == _levels(Folder(tmp_path / "copy", 8), name)


def test_class_folders_give_labels(classes):
    source = Folder(classes, 8)
    assert source.classes == ["ant", "bee", "cat"]
    for name in ("train", "val", "test"):
        examples = source.split(name)
        columns = examples.read(torch.arange(len(examples)))
        assert torch.equal(columns["label"], columns["image"][:, 0, 0, 0].long() // 10)


def test_a_picture_beside_class_folders_means_no_classes(classes):
    _paint(classes / "loose.png", 99)
    assert Folder(classes, 8).classes is None
    assert set(Folder(classes, 8).split("train").read(torch.tensor([0]))) == {"image"}


def test_split_folders_are_used_as_they_are(classes):
    root = classes.parent / "sorted"
    for split, level in (("train", 100), ("val", 110), ("test", 120)):
        for number, name in enumerate(("ant", "bee")):
            _paint(root / split / name / "0.png", level + number)
    source = Folder(root, 8)
    assert [_levels(source, name) for name in ("train", "val", "test")] == [[100, 101], [110, 111], [120, 121]]
    assert source.classes == ["ant", "bee"]


def test_a_missing_split_folder_is_cut_from_train(flat):
    root = flat.parent / "partly"
    shutil.copytree(flat, root / "train")
    _paint(root / "test" / "a.png", 200)
    source = Folder(root, 8, val_share=0.25)
    assert _levels(source, "test") == [200]
    assert len(_levels(source, "val")) == 10
    assert sorted(_levels(source, "train") + _levels(source, "val")) == list(range(40))


def test_hidden_files_other_files_and_circles_are_passed_over(flat):
    (flat / "notes.txt").write_text("no picture")
    _paint(flat / ".thumbs" / "x.png", 250)
    _paint(flat / "._00.png", 250)
    _paint(flat / "deep" / "down" / "UPPER.JPG", 60)
    (flat / "deep" / "circle").symlink_to(flat)
    names = [picture.relative for part in Folder(flat, 8).pictures.values() for picture in part]
    assert len(names) == 41
    assert "deep/down/UPPER.JPG" in names


def test_pictures_of_all_sizes_and_channels_become_one_shape(flat):
    Image.new("RGB", (300, 7), (9, 8, 7)).save(flat / "00.png")
    Image.new("CMYK", (5, 70)).save(flat / "01.jpg")
    data = _data(Folder(flat, 8))
    data.setup()
    assert next(iter(data.train_dataloader()))["image"].shape == (4, 3, 8, 8)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_truncated_picture_stops_before_training_or_is_skipped(flat, tmp_path, capsys, in_memory):
    victim = flat / "zz.png"
    _paint(victim, 7, size=(60, 60))
    victim.write_bytes(victim.read_bytes()[:60])
    options = {"val_share": 0, "test_share": 0}
    with pytest.raises(BadImage, match=f"cannot use image {victim}"):
        _data(Folder(flat, 8, **options), in_memory=in_memory).stored("train")
    for _ in range(2):
        source = Folder(flat, 8, on_bad_image="skip", **options)
        data = _data(source, in_memory=in_memory, cache_dir=tmp_path / "cache")
        assert data.split_size("train") == 40
        assert f"skipped 1 of 41 images that cannot be used:\n  {victim}" in capsys.readouterr().out


def test_a_large_picture_is_refused_by_its_header(flat):
    _paint(flat / "large.png", 7, size=(200, 100))
    source = Folder(flat, 8, max_pixels=10_000, val_share=0, test_share=0)
    with pytest.raises(BadImage, match=r"large.png: it has 200 x 100 pixels, more than max_pixels=10000"):
        _data(source).stored("train")


def test_a_changed_file_changes_the_fingerprint(flat):
    before = Folder(flat, 8).split("train").fingerprint
    assert Folder(flat, 8).split("train").fingerprint == before
    assert Folder(flat, 9).split("train").fingerprint != before
    _paint(flat / Folder(flat, 8).pictures["train"][0].relative, 255, size=(13, 10))
    assert Folder(flat, 8).split("train").fingerprint != before


def test_wrong_class_count_is_refused_before_training(classes):
    data = ImageData(Folder(classes, 8), [3, 8, 8], 10, 4, 8, 3)
    with pytest.raises(ValueError, match="num_classes must be 3, the number of classes of the source, got 10"):
        data.setup()


def test_a_refusal_of_the_data_names_its_whole_key(tmp_path):
    told = rf"^data\.source\.root must be an existing folder of pictures, got {tmp_path / 'none'}"
    with pytest.raises(ValueError, match=told):
        ImageData(Folder(tmp_path / "none", 8), [3, 8, 8], None, 4, 8, 3).setup()


def test_an_empty_or_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=f"root must be an existing folder of pictures, got {tmp_path / 'none'}"):
        Folder(tmp_path / "none", 8).split("train")
    with pytest.raises(ValueError, match=rf"root must hold at least 3 pictures \(.*\.png.*\), got 0 in {tmp_path}"):
        Folder(tmp_path, 8).split("train")


def test_an_unused_share_leaves_no_split(flat):
    with pytest.raises(ValueError, match=r"val_share must be above 0, or .*val must hold pictures"):
        Folder(flat, 8, val_share=0).split("val")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_share": -0.1}, "val_share and test_share must be at least 0 and sum to less than 1, got -0.1 and 0.1"),
        ({"val_share": 0.5, "test_share": 0.5}, "sum to less than 1, got 0.5 and 0.5"),
        ({"on_bad_image": "ignore"}, "on_bad_image must be error or skip, got 'ignore'"),
        ({"channels": 4}, "channels must be 1"),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        Folder(tmp_path, 8, **options)
