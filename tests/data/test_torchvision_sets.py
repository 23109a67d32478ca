import pickle
import struct
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision.datasets.celeba
import torchvision.datasets.cifar
import torchvision.datasets.stl10
from PIL import Image

from genexp.config.messages import told
from genexp.data.datamodule import ImageData
from genexp.data.source import BadImage
from genexp.data.torchvision_sets import DownloadError, Torchvision

_DIGITS = [str(i) for i in range(10)]
_TRAIN_TEST = {"train": {"train": True}, "test": {"train": False}}


def _mnist(folder, train=30, test=12):
    """MNIST's four files in the IDX format: magic number, sizes, bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    content = {}
    for name, count in (("train", train), ("t10k", test)):
        image = random.integers(256, size=(count, 28, 28), dtype=np.uint8)
        label = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, count, 28, 28) + image.tobytes())
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + label.tobytes())
        content[name] = (torch.from_numpy(image), torch.from_numpy(label).long())
    return content


def _all(source, split):
    examples = source.split(split)
    return examples.read(torch.arange(len(examples)))


def _mnist_source(root, **options):
    options = {"image_size": 28, "channels": 1, "classes": _DIGITS, **options}
    return Torchvision("MNIST", root, _TRAIN_TEST, **options)


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.mark.parametrize("dataset", ["MNIST", "FashionMNIST"])
def test_mnist_files_are_read_exactly(tmp_path, dataset):
    content = _mnist(tmp_path / dataset / "raw")
    source = Torchvision(dataset, tmp_path, _TRAIN_TEST, 28, 1, _DIGITS)
    for split, name in (("train", "train"), ("test", "t10k"), ("val", "t10k")):
        columns = _all(source, split)
        assert torch.equal(columns["image"][:, 0], content[name][0])
        assert torch.equal(columns["label"], content[name][1])


def test_padding_to_32_keeps_the_pixels(tmp_path):
    content = _mnist(tmp_path / "MNIST" / "raw")
    image = _all(_mnist_source(tmp_path, image_size=32, fit="pad", channels=3), "test")["image"]
    assert torch.equal(image[:, 1, 2:30, 2:30], content["t10k"][0])


def test_val_images_are_held_out_from_train(tmp_path):
    content = _mnist(tmp_path / "MNIST" / "raw")
    train, val = (_all(_mnist_source(tmp_path, val_images=7), name)["image"] for name in ("train", "val"))
    assert (len(train), len(val)) == (23, 7)
    both = sorted(map(bytes, torch.cat([train, val])[:, 0].numpy()))
    assert both == sorted(map(bytes, content["train"][0].numpy()))


def test_too_many_val_images(tmp_path):
    _mnist(tmp_path / "MNIST" / "raw")
    with pytest.raises(ValueError, match="val_images must be below 30, the size of the train split, got 30"):
        len(_mnist_source(tmp_path, val_images=30).split("train"))


def test_a_decoded_copy_needs_no_dataset_and_follows_its_files(tmp_path, monkeypatch):
    _mnist(tmp_path / "MNIST" / "raw")

    def data():
        return ImageData(_mnist_source(tmp_path), [1, 28, 28], 10, 4, 28, 1, cache_dir=tmp_path / "cache")

    digest = data().digest("test")
    with monkeypatch.context() as patch:
        patch.setattr(Torchvision, "open", lambda *_: pytest.fail("opened the dataset again"))
        assert data().digest("test") == digest
    _mnist(tmp_path / "MNIST" / "raw", test=13)
    assert data().split_size("test") == 13


def test_a_label_outside_the_classes_is_refused(tmp_path):
    _mnist(tmp_path / "MNIST" / "raw")
    source = _mnist_source(tmp_path, classes=_DIGITS[:9])
    with pytest.raises(ValueError, match=r"every label of train must lie in \[0, 9\), got 9"):
        ImageData(source, [1, 28, 28], 9, 4, 28, 1).setup()


def _cifar(root, monkeypatch):
    """CIFAR-10's batches as pickled rows of 3072 bytes; torchvision checks MD5 sums, which ours cannot have."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    random = np.random.default_rng(0)
    rows = {}
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        rows[name] = random.integers(256, size=(4, 3072), dtype=np.uint8)
        content = {b"data": rows[name], b"labels": [0, 1, 2, 3]}
        content = {key.decode(): value for key, value in content.items()}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {i}" for i in range(10)]}))
    _trust(monkeypatch, torchvision.datasets.cifar)
    return rows


def _trust(monkeypatch, module):
    def exists(path, md5=None):
        return __import__("os").path.isfile(path)

    monkeypatch.setattr(module, "check_integrity", exists)


def test_cifar_files_are_read_exactly(tmp_path, monkeypatch):
    rows = _cifar(tmp_path, monkeypatch)
    source = Torchvision("CIFAR10", tmp_path, _TRAIN_TEST, 32, 3, [f"class {i}" for i in range(10)])
    train, test = _all(source, "train"), _all(source, "test")
    expected = np.concatenate([rows[f"data_batch_{i}"] for i in range(1, 6)]).reshape(-1, 3, 32, 32)
    assert np.array_equal(train["image"], expected)
    assert train["label"].tolist() == [0, 1, 2, 3] * 5
    assert np.array_equal(test["image"], rows["test_batch"].reshape(-1, 3, 32, 32))


def test_stl10_files_are_read_exactly(tmp_path, monkeypatch):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    image = np.random.default_rng(0).integers(256, size=(5, 3, 96, 96), dtype=np.uint8)
    for split in ("train", "test"):
        image.transpose(0, 1, 3, 2).tofile(folder / f"{split}_X.bin")  # column by column, as in the archive
        np.arange(1, 6, dtype=np.uint8).tofile(folder / f"{split}_y.bin")
    image.transpose(0, 1, 3, 2).tofile(folder / "unlabeled_X.bin")
    _trust(monkeypatch, torchvision.datasets.stl10)
    splits = {"train": {"split": "train"}, "test": {"split": "test"}}
    columns = _all(Torchvision("STL10", tmp_path, splits, 96, 3, _DIGITS), "train")
    assert np.array_equal(columns["image"], image)
    assert columns["label"].tolist() == [0, 1, 2, 3, 4]
    more = Torchvision("STL10", tmp_path, {**splits, "train": {"split": "train+unlabeled"}}, 96, 3)
    assert len(more.split("train")) == 10
    assert set(_all(more, "train")) == {"image"}


def _celeba(root, monkeypatch):
    """CelebA's text tables and pictures: two of each split."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06d}.jpg" for i in range(1, 7)]
    for i, name in enumerate(names):
        Image.new("RGB", (178, 218), (40 * i, 0, 0)).save(folder / "img_align_celeba" / name, quality=95)

    def table(file, header, rows):
        lines = [str(len(names)), header] if header else []
        lines += [f"{name}  {row}" for name, row in zip(names, rows, strict=True)]
        (folder / file).write_text("\n".join(lines) + "\n")

    table("list_eval_partition.txt", None, ["0", "0", "1", "1", "2", "2"])
    table("identity_CelebA.txt", None, ["7"] * 6)
    table("list_bbox_celeba.txt", "image_id x_1 y_1 width height", ["0 0 1 1"] * 6)
    table("list_landmarks_align_celeba.txt", "lefteye_x lefteye_y", ["1 2"] * 6)
    table("list_attr_celeba.txt", "Bald Smiling Young", ["-1 1 1", "1 -1 1", "1 1 -1", "-1 1 -1", "-1 -1 -1", "1 -1 1"])
    _trust(monkeypatch, torchvision.datasets.celeba)
    return folder / "img_align_celeba"


_CELEBA = {"train": {"split": "train"}, "val": {"split": "valid"}, "test": {"split": "test"}}


def test_celeba_has_its_own_val_and_an_attribute_as_label(tmp_path, monkeypatch):
    _celeba(tmp_path, monkeypatch)
    source = Torchvision("CelebA", tmp_path, _CELEBA, 64, 3, attribute="Smiling", crop=148)
    assert source.classes == ("not Smiling", "Smiling")
    labels = {name: _all(source, name)["label"].tolist() for name in _CELEBA}
    assert labels == {"train": [1, 0], "val": [1, 1], "test": [0, 0]}
    assert _all(source, "val")["image"].shape == (2, 3, 64, 64)
    plain = Torchvision("CelebA", tmp_path, _CELEBA, 64, 3)
    assert set(_all(plain, "train")) == {"image"}
    with pytest.raises(KeyError, match="attribute must be one of Bald, Smiling, Young, got 'Smile'"):
        _all(Torchvision("CelebA", tmp_path, _CELEBA, 64, 3, attribute="Smile"), "train")


def test_a_truncated_picture_of_a_dataset_is_named_or_skipped(tmp_path, monkeypatch, capsys):
    victim = _celeba(tmp_path, monkeypatch) / "000002.jpg"
    victim.write_bytes(victim.read_bytes()[:400])
    with pytest.raises(BadImage, match=f"cannot use image {victim}"):
        ImageData(Torchvision("CelebA", tmp_path, _CELEBA, 64, 3), [3, 64, 64], None, 2, 64, 3).setup()
    source = Torchvision("CelebA", tmp_path, _CELEBA, 64, 3, on_bad_image="skip")
    assert ImageData(source, [3, 64, 64], None, 2, 64, 3).split_size("train") == 1
    assert "skipped 1 of 2 images" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["EPS", "TGA"])
def test_a_picture_of_a_dataset_reaches_no_other_decoder_than_the_stated_ones(tmp_path, monkeypatch, kind):
    before = list(Image.ID)
    victim = _celeba(tmp_path, monkeypatch) / "000002.jpg"
    Image.new("RGB", (178, 218)).save(victim, format=kind)
    with pytest.raises(BadImage, match=f"cannot use image {victim}: cannot identify"):
        ImageData(Torchvision("CelebA", tmp_path, _CELEBA, 64, 3), [3, 64, 64], None, 2, 64, 3).setup()
    assert set(before) <= set(Image.ID)


@pytest.mark.parametrize(
    ("dataset", "splits", "folder", "file"),
    [
        ("MNIST", _TRAIN_TEST, "MNIST/raw", "train-images-idx3-ubyte, .*, unpacked or as the original"),
        ("FashionMNIST", _TRAIN_TEST, "FashionMNIST/raw", "t10k-labels-idx1-ubyte, unpacked or as the original .gz"),
        (
            "CIFAR10",
            _TRAIN_TEST,
            "cifar-10-batches-py",
            "data_batch_1, .*, batches.meta, or put cifar-10-python.tar.gz into",
        ),
        ("STL10", {"train": {"split": "train"}, "test": {"split": "test"}}, "stl10_binary", "train_X.bin"),
        ("CelebA", _CELEBA, "celeba", "list_attr_celeba.txt"),
    ],
)
def test_without_a_network_one_error_names_the_folder_to_fill(
    tmp_path, offline, monkeypatch, dataset, splits, folder, file
):
    monkeypatch.setitem(__import__("sys").modules, "gdown", None)  # CelebA is fetched by it, where it is installed
    source = Torchvision(dataset, tmp_path, splits, 32, 3, _DIGITS)
    with pytest.raises(
        DownloadError, match=f"{dataset} is not in {tmp_path / folder} .*Fill that folder.*{file}"
    ) as seen:
        ImageData(source, [3, 32, 32], 10, 4, 32, 3).setup()
    assert seen.value.__cause__ is not None
    assert told(seen.value) == str(seen.value)  # one line for the person at the terminal, no traceback
    assert "\n" not in told(seen.value)
    assert ":)" not in told(seen.value)
    assert list(tmp_path.iterdir()) == []


def test_errors_that_are_no_download_errors_pass_through(tmp_path):
    _mnist(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    with pytest.raises((EOFError, OSError, RuntimeError, ValueError)) as seen:  # of the short file
        _all(_mnist_source(tmp_path), "train")
    assert not isinstance(seen.value, DownloadError)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "MNISTT"}, "dataset must be a class of torchvision.datasets, got 'MNISTT'"),
        ({"splits": {"train": {}}}, r"splits must name the arguments of train and test, got \['train'\]"),
        ({"val_images": -1}, "val_images must be at least 0, got -1"),
        ({"attribute": "Bald", "classes": ["a"]}, r"classes must be null with an attribute, got \['a'\] and 'Bald'"),
        ({"on_bad_image": "no"}, "on_bad_image must be error or skip, got 'no'"),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    options = {"dataset": "MNIST", "splits": _TRAIN_TEST, "image_size": 8, "channels": 1, **options}
    with pytest.raises(ValueError, match=message):
        _all(Torchvision(root=tmp_path, **options), "train")
