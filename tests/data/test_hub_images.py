"""Data sets of the hub in a local folder: splits, classes, and what is never read."""

import io

import pytest
import torch
from PIL import Image

from genexp.data.datamodule import ImageData
from genexp.data.hub_images import HubImages
from genexp.data.source import BadImage

datasets = pytest.importorskip("datasets", reason="needs the extra hub: datasets")


def png(level):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (level, 0, 0)).save(file, "PNG")
    return file.getvalue()


def table(first, count, **columns):
    features = datasets.Features({"image": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])})
    images = [{"bytes": png(i), "path": None} for i in range(first, first + count)]
    rows = {"image": images, "kind": [i % 2 for i in range(count)], **columns}
    return datasets.Dataset.from_dict(rows, features=features)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    table(0, 20).to_parquet(folder / "train-00000-of-00002.parquet")
    table(20, 20).to_parquet(folder / "train-00001-of-00002.parquet")
    return folder


def levels(examples):
    return examples.read(torch.arange(len(examples)))["image"][:, 0, 0, 0].tolist()


def opened(root, tmp_path, **settings):
    return HubImages(root, 8, tmp_path / "cache", **settings)


def test_parquet_files_are_read_with_their_classes_and_splits(root, tmp_path):
    table(100, 3).to_parquet(root / "validation-00000-of-00001.parquet")
    source = opened(root, tmp_path, label_column="kind", test_share=0.25)
    assert source.classes == ["cat", "dog"]
    assert levels(source.split("val")) == [100, 101, 102]
    train, test = levels(source.split("train")), levels(source.split("test"))
    assert len(test) == 10
    assert sorted([*train, *test]) == list(range(40))
    assert source.split("train").read(torch.tensor([0, 1]))["label"].tolist() == [0, 1]
    assert "40 rows of train, 3 rows of val" in source.notes(None)[0]


def test_what_save_to_disk_wrote_is_read(tmp_path):
    datasets.DatasetDict({"train": table(0, 6), "test": table(50, 2)}).save_to_disk(tmp_path / "saved")
    source = opened(tmp_path / "saved", tmp_path, val_share=0.5)
    assert levels(source.split("test")) == [50, 51]
    assert len(source.split("train")) == len(source.split("val")) == 3


def test_it_trains_as_any_data_do(root, tmp_path):
    data = ImageData(opened(root, tmp_path, label_column="kind"), [3, 8, 8], 2, 4, 8, 3, in_memory=False)
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (4, 3, 8, 8)
    assert set(batch["label"].tolist()) <= {0, 1}


def test_no_file_is_read_that_the_data_name(tmp_path):
    (tmp_path / "set").mkdir()
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(77))
    features = datasets.Features({"image": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}})
    rows = {"image": [{"bytes": None, "path": str(secret)}] * 4}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "set/train.parquet")
    with pytest.raises(BadImage, match="row 0: the column image holds no picture's bytes"):
        opened(tmp_path / "set", tmp_path, val_share=0, test_share=0).split("train").read(torch.tensor([0]))


def test_what_is_no_data_set_is_told(root, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"data\.source\.root must be a folder of Parquet files"):
        opened(tmp_path / "empty", tmp_path).split("train")
    with pytest.raises(ValueError, match=r"data\.source\.image_column must be one of image, kind, got picture"):
        opened(root, tmp_path, image_column="picture").split("train")
    (root / "train-00000-of-00002.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ValueError, match=r"data\.source\.root must be a folder of Parquet files"):
        opened(root, tmp_path).split("train")


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["cat", "dog"], "got kind with string"),
        ([0.5, 1.5], "got kind with float64"),
        ([True, False], "got kind with bool"),
        ([[1], [2]], "got kind with"),
        ([None, 1], "got kind with None"),
        ([-1, 1], "got kind with -1"),
    ],
    ids=["words", "fractions", "truths", "lists", "none", "negative"],
)
def test_labels_that_are_no_classes_are_refused_by_name(labels, told, tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    rows = {"image": [{"bytes": png(i), "path": None} for i in range(2)], "kind": labels}
    datasets.Dataset.from_dict(rows).to_parquet(root / "train.parquet")
    rule = "data.source.label_column must be one of whole numbers of at least 0, "
    with pytest.raises(ValueError, match=rule + told):
        opened(root, tmp_path, label_column="kind").classes  # noqa: B018


def test_classes_are_those_of_all_splits(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    for name, label in (("train", 1), ("test", 3)):
        rows = {"image": [{"bytes": png(i), "path": None} for i in range(2)], "kind": [label] * 2}
        datasets.Dataset.from_dict(rows).to_parquet(root / f"{name}.parquet")
    assert opened(root, tmp_path, label_column="kind").classes == ["0", "1", "2", "3"]


def test_a_damaged_file_is_told_in_the_error_alone(tmp_path, capfd):
    (tmp_path / "train.parquet").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"data.source.root must be a folder of Parquet files, .*file size is 2 bytes"):
        opened(tmp_path, tmp_path).split("train")
    assert "Failed" not in capfd.readouterr().err
