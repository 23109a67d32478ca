"""Two folders whose pictures do not belong together."""

import numpy as np
import pytest
import torch
from PIL import Image

from genexp.data.source import BadImage
from genexp.data.unpaired_folders import UnpairedFolders


def fill(root, count, first, mode="L"):
    root.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(np.full((12, 10), first + i, np.uint8)).convert(mode).save(root / f"{i:03}.png")
    return root


def opened(tmp_path, images=30, sources=20, **options):
    roots = fill(tmp_path / "a", images, 0), fill(tmp_path / "b", sources, 100)
    return UnpairedFolders(*roots, 8, channels=1, source_channels=1, **{"val_share": 0.1, "test_share": 0.1, **options})


def values(folder, split):
    examples = folder.split(split)
    read = examples.read(torch.arange(len(examples)))
    assert read["image"].shape == read["source"].shape == (len(examples), 1, 8, 8)
    return [each.float().mean((1, 2, 3)).long().tolist() for each in (read["image"], read["source"])]


def test_every_image_is_there_once_and_sources_in_turn_from_their_own_split(tmp_path):
    folder = opened(tmp_path)
    found = {split: values(folder, split) for split in ("train", "val", "test")}
    assert sorted(each for images, _ in found.values() for each in images) == list(range(30))
    images, sources = found["train"]
    assert len(images) == 24
    assert sorted(set(sources)) == sorted(set(range(100, 120)) - set(found["val"][1]) - set(found["test"][1]))
    assert max(sources.count(each) for each in sources) == 2  # 24 images, 16 sources
    assert [source - 100 for source in sources[:16]] != sorted(source - 100 for source in sources[:16])
    assert values(folder, "train") == found["train"]  # the same in every epoch


def test_both_folders_are_told_of(tmp_path):
    lines = opened(tmp_path).notes(None)
    assert sum("30 pictures in" in line for line in lines) == sum("20 pictures in" in line for line in lines) == 1


def test_an_empty_or_damaged_folder_is_refused_by_name(tmp_path):
    folder = opened(tmp_path)
    (tmp_path / "b" / "005.png").write_bytes(b"no picture")
    with pytest.raises(BadImage, match=r"005\.png"):
        [values(folder, split) for split in ("train", "val", "test")]
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="none"):
        UnpairedFolders(tmp_path / "a", tmp_path / "none", 8, 1, 1).split("train")
