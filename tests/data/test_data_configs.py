from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from genexp.data.datamodule import ImageData

CONF = Path(__file__).parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "data").glob("[!_]*.yaml"))
OFFLINE = ["digits", "shapes", "scenes", "toy2d", "stacked_digits", "content_style", "one_pair"]


def _built(name, tmp_path, *overrides):
    paths = [f"paths.cache={tmp_path / 'cache'}", f"paths.data={tmp_path / 'data'}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=[f"data={name}", *paths, *overrides])
    return instantiate(config.data, _convert_="all")


def test_every_promised_dataset_has_a_config():
    torchvision = ["mnist", "fashion_mnist", "cifar10", "celeba", "stl10"]
    assert {*OFFLINE, *torchvision, "folder"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_config_builds_and_comments_every_option(name, tmp_path):
    assert isinstance(_built(name, tmp_path), ImageData)
    for line in (CONF / "data" / f"{name}.yaml").read_text().splitlines():
        key, _, value = line.strip().removeprefix("- ").partition(":")
        plain = value.strip() and not value.strip().startswith(("#", "${data."))
        structural = key.startswith(("_target_", "override", "#", "_self_")) or key in ("train", "val", "test")
        counts = key.endswith(("_images", "_points"))  # explained by the first of their kind
        assert not plain or structural or counts or "  # " in line, line


@pytest.mark.parametrize("name", OFFLINE)
def test_embedded_data_fit_their_declarations(name, tmp_path):
    data = _built(name, tmp_path)
    data.setup()
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    column = batch["content" if "content" in batch else "image"]
    assert column.shape == (data.batch_size, *data.shape)
    assert column.dtype == torch.float32
    assert ("label" in batch) == (data.num_classes is not None)
    assert len(next(iter(data.val_dataloader()))["index"]) == min(256, data.split_size("val"))
    if data.num_classes is not None:
        assert sum(data.label_counts("val")) == data.split_size("val")
    assert len({data.digest(split) for split in ("train", "val")}) == 2 or name == "one_pair"


@pytest.mark.parametrize(("kind", "num_classes"), [("ring", 8), ("grid", 25), ("moons", 2), ("checkerboard", 8)])
def test_toy_labels_by_one_override(kind, num_classes, tmp_path):
    data = _built("toy2d", tmp_path, f"data.source.kind={kind}", f"data.num_classes={num_classes}")
    assert all(count > 0 for count in data.label_counts("test"))
