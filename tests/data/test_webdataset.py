"""Tar shards: what is read of them, what hostile and damaged ones can do, and the order that a buffer leaves."""

import io
import os
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from genexp.data.datamodule import ImageData
from genexp.data.shards import BadShard, indexed
from genexp.data.source import BadImage
from genexp.data.stream import Stream
from genexp.data.webdataset import WebDataset


def png(level, size=8):
    file = io.BytesIO()
    Image.new("RGB", (size, size), (level, 0, 255 - level)).save(file, "PNG")
    return file.getvalue()


def write(path, members, pax=False):
    """A shard of (name, bytes) or ready members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT) as tar:
        for name, content in members:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b"" if isinstance(content, tarfile.TarInfo) else content
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def samples(first, count):
    for i in range(first, first + count):
        yield f"{i:05d}.png", png(i % 256)
        yield f"{i:05d}.cls", str(i % 3).encode()


@pytest.fixture
def shards(tmp_path):
    for shard in range(4):
        write(tmp_path / f"s/train-{shard}.tar", samples(10 * shard, 10))
    return tmp_path / "s"


def levels(examples, rows=None):
    rows = torch.arange(len(examples)) if rows is None else rows
    return examples.read(rows)["image"][:, 0, 0, 0].tolist()


def test_every_sample_is_read_in_order_with_its_label(shards):
    data = WebDataset(shards, 8, val_share=0, test_share=0)
    train = data.split("train")
    assert levels(train) == list(range(40))
    assert train.read(torch.tensor([3, 31]))["label"].tolist() == [0, 1]
    assert data.classes == ["0", "1", "2"]
    assert train.groups == [10] * 4


def test_splits_are_cut_evenly_and_share_nothing(shards):
    data = WebDataset(shards, 8, val_share=0.1, test_share=0.2)
    parts = {name: levels(data.split(name)) for name in ("train", "val", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 28, "val": 4, "test": 8}
    assert sorted(level for part in parts.values() for level in part) == list(range(40))
    assert max(parts["val"]) - min(parts["val"]) > 20


def test_shards_that_say_so_are_of_val_and_test(shards):
    write(shards / "digits-val-0.tar", samples(100, 3))
    write(shards / "test/0.tar", samples(200, 2))
    data = WebDataset(shards, 8)
    assert levels(data.split("val")) == [100, 101, 102]
    assert levels(data.split("test")) == [200, 201]
    assert levels(data.split("train")) == list(range(40))
    assert "6 shards" in data.notes(None)[0]


@pytest.mark.parametrize("pax", [False, True])
def test_long_names_and_what_webdataset_itself_would_group(pax, tmp_path):
    long = "d" * 120 + "/" + "e" * 120
    members = [(f"{long}.jpg", png(7)), (f"{long}.cls", b"2\n"), (f"{long}.json", b"{}"), ("a.b.png", png(9))]
    found = indexed(write(tmp_path / "a.tar", members, pax))
    assert found.labels == [2, None]
    assert found.passed == {"files .json": 1}
    assert WebDataset(tmp_path, 8, val_share=0, test_share=0).classes is None


def hostile(kind, name, link="/etc/passwd"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return name, info


def test_links_devices_and_names_that_climb_reach_nothing(tmp_path):
    members = [
        hostile(tarfile.SYMTYPE, "0.png"),
        hostile(tarfile.LNKTYPE, "1.png"),
        hostile(tarfile.CHRTYPE, "2.png"),
        hostile(tarfile.FIFOTYPE, "3.png"),
        hostile(tarfile.DIRTYPE, "folder"),
        ("../../../escaped.png", png(5)),
        ("/absolute.png", png(6)),
    ]
    path = write(tmp_path / "s/a.tar", members)
    data = WebDataset(tmp_path / "s", 8, val_share=0, test_share=0)
    assert levels(data.split("train")) == [5, 6]
    assert indexed(path).passed == {"links": 2, "members that are no files": 2, "folders": 1}
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["a.tar", "s"]


@pytest.mark.parametrize("cut", [100, 512, 600, 1024, 5000, -1024, -1])
def test_a_shard_that_is_cut_off_is_named_with_the_byte(cut, tmp_path):
    path = write(tmp_path / "a.tar", samples(0, 10))
    content = path.read_bytes()
    end = 2 * 512 * 2 * 10  # headers and blocks of ten pictures and labels; what follows is the end mark
    path.write_bytes(content[:cut] if cut > 0 else content[: end + cut])
    with pytest.raises(BadShard, match=r"cannot use shard .*a.tar at byte [\d,]+: it is cut off"):
        indexed(path)


def test_the_byte_is_that_of_the_header_that_lacks_its_content(tmp_path):
    path = write(tmp_path / "a.tar", samples(0, 10))
    path.write_bytes(path.read_bytes()[: 4 * 2048 + 512 + 10])
    with pytest.raises(BadShard, match=r"at byte 8,192: it is cut off: \d+ bytes should follow, 10 do"):
        indexed(path)


def changed(path, offset, content):
    data = bytearray(path.read_bytes())
    data[offset : offset + len(content)] = content
    path.write_bytes(data)


def test_damaged_and_compressed_shards(tmp_path):
    path = write(tmp_path / "a.tar", samples(0, 2))
    changed(path, 0, b"X")
    with pytest.raises(BadShard, match="at byte 0: it is no tar header"):
        indexed(path)
    with tarfile.open(tmp_path / "b.tar", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    with open(tmp_path / "b.tar", "ab") as file:
        file.write(bytes(1024))
    with pytest.raises(BadShard, match="must not be compressed"):
        indexed(tmp_path / "b.tar")
    os.mkfifo(tmp_path / "c.tar")
    with pytest.raises(BadShard, match="not a regular file"):
        indexed(tmp_path / "c.tar")


@pytest.mark.parametrize("label", [b"", b"cat", b"-1", b"100000", b"9" * 17, "²".encode()])
def test_a_label_is_a_small_number(label, tmp_path):
    with pytest.raises(BadShard, match="a label must be a number below 100,000"):
        indexed(write(tmp_path / "a.tar", [("0.png", png(0)), ("0.cls", label)]))


def test_a_picture_that_cannot_be_decoded_is_named_or_left_out(tmp_path):
    write(tmp_path / "a.tar", [("0.png", png(0)), ("1.png", b"no picture"), ("2.png", png(2))])
    train = WebDataset(tmp_path, 8, val_share=0, test_share=0).split("train")
    with pytest.raises(BadImage, match=r"a.tar at byte 1,536: it cannot be read as any of PNG"):
        train.read(torch.tensor([1]))
    data = ImageData(WebDataset(tmp_path, 8, val_share=0.4, test_share=0, skip=True), [3, 8, 8], None, 2, 8, 3)
    assert len(data.stored("train").examples) + len(data.stored("val").examples) == 2


def test_an_empty_split_is_told(shards):
    with pytest.raises(ValueError, match="val_share must hold out a sample, got no sample of val"):
        WebDataset(shards, 8, val_share=0.01).split("val")


def test_a_folder_without_shards_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"must be a folder of \.tar shards"):
        WebDataset(tmp_path, 8).split("train")


def test_the_order_of_a_buffer_is_a_permutation_of_nearby_examples():
    stream = Stream(100, 10, seed=3, buffer=20, groups=[30, 50, 20])
    first, second = stream.permutation(0), stream.permutation(1)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(100))
    assert first.tolist() != second.tolist()
    shard = torch.bucketize(first, torch.tensor([29, 79, 99]))
    assert len(shard[:20].unique()) <= 2  # a window reaches over one end of a shard at most, or two of small ones
    place = torch.empty(100, dtype=torch.int64)
    place[first] = torch.arange(100)
    for begin, end in ((0, 30), (30, 80), (80, 100)):
        own = place[begin:end] - torch.arange(end - begin)
        assert int(own.max() - own.min()) < 2 * 20  # in the order of the shard but for the buffer
    assert Stream(100, 10, 3, buffer=1, groups=[30, 50, 20]).permutation(0).diff().eq(1).sum() >= 97


def test_every_place_in_a_window_is_as_likely():
    counts = np.zeros((4, 4))
    stream = Stream(4, 4, seed=0, buffer=4)
    for epoch in range(2000):
        counts[np.arange(4), stream.permutation(epoch).numpy()] += 1
    assert abs(counts / 2000 - 0.25).max() < 0.05


def batches(root, count, world_size=1, start=0, workers=0):
    source = WebDataset(root, 8, val_share=0.1, test_share=0)
    rows = [3, 8, 8], 3, 6
    found = []
    for rank in range(world_size):
        data = ImageData(source, *rows, 8, 3, in_memory=False, workers=workers, shuffle_buffer=8)
        data._share = lambda rank=rank: (rank, world_size)
        data.batches = start
        loader = iter(data.train_dataloader())
        found.append([next(loader)["index"] for _ in range(count)])
    return [torch.stack(each, 1).flatten() for each in zip(*found, strict=True)]


def test_ranks_workers_and_resuming_give_the_same_samples(shards):
    whole = batches(shards, 10)
    assert all(torch.equal(*each) for each in zip(whole, batches(shards, 10, world_size=2), strict=True))
    assert all(torch.equal(*each) for each in zip(whole[4:], batches(shards, 6, start=4), strict=True))
    assert all(torch.equal(*each) for each in zip(whole, batches(shards, 10, workers=2), strict=True))


@pytest.mark.slow
def test_a_run_that_was_stopped_and_resumed_is_the_run_that_was_not(shards, tmp_path):
    common = [*tiny.COMMON, "model=vae", "data=webdataset", f"data.source.root={shards}", "data.image_size=8"]
    common += [
        "data.source.val_share=0.1",
        "data.shuffle_buffer=8",
        "data.batch_size=6",
        "data.workers=0",
        "ramp@model.learning_rate=constant",
    ]
    common += ["metrics=none", "training.evaluate_every=24", "training.checkpoint_every=24", "training.log_every=12"]
    whole = tiny.run([*common, "training.max_images=48", f"paths.outputs={tmp_path / 'a'}"])
    half = tiny.run([*common, "training.max_images=24", f"paths.outputs={tmp_path / 'b'}"])
    tiny.run(["training.max_images=48", *common, f"resume={half.path}", f"paths.outputs={tmp_path / 'b'}"])
    ours, theirs = (torch.load(each.last, weights_only=True)["state_dict"] for each in (whole, half))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
