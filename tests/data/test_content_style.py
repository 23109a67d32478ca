import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from genexp.data.content_style import ContentStyle, Photographs
from genexp.data.datamodule import ImageData
from genexp.data.source import BadImage


def _embedded(**options):
    return ContentStyle(
        Photographs("china.jpg"), Photographs("flower.jpg"), **{"image_size": 32, "resize": 48, **options}
    )


def _gallery(folder, count, first):
    """Pictures of one level each, of different sizes."""
    folder.mkdir()
    for i in range(count):
        Image.new("RGB", (40 + i, 60 - i), (first + i, 0, 0)).save(folder / f"{i}.png")
    return str(folder)


def test_the_embedded_photographs_are_scikit_learns():
    pair = _embedded(image_size=427, resize=427, crop="centre").split("val").read(torch.tensor([0]))
    for column, name in (("content", "china.jpg"), ("style", "flower.jpg")):
        photograph = torch.from_numpy(load_sample_image(name)).permute(2, 0, 1)
        left = (640 - 427) // 2
        assert torch.equal(pair[column][0], photograph[:, :, left : left + 427])


def test_train_crops_depend_on_the_pair_alone_and_differ():
    examples = _embedded().split("train")
    whole = examples.read(torch.arange(50))
    assert whole["content"].shape == whole["style"].shape == (50, 3, 32, 32)
    assert torch.equal(examples.read(torch.tensor([17, 3]))["style"], whole["style"][[17, 3]])
    assert torch.equal(_embedded(train_pairs=60).split("train").read(torch.arange(50))["content"], whole["content"])
    assert len(torch.unique(whole["content"].flatten(1), dim=0)) > 40
    assert len(torch.unique(whole["style"].flatten(1), dim=0)) > 40


def test_centre_crops_are_one_fixed_pair():
    train = _embedded(crop="centre").split("train").read(torch.tensor([0, 1, 999]))
    val = _embedded().split("val").read(torch.tensor([0]))
    for column in ("content", "style"):
        assert torch.equal(train[column], val[column].expand(3, -1, -1, -1))


def test_crops_reach_every_edge():
    ramp = torch.arange(60).to(torch.uint8).expand(40, -1).contiguous()
    examples = _embedded().split("train")
    from genexp.data import content_style

    picture = torch.stack([ramp] * 3)
    original, content_style._resized = content_style._resized, lambda *_: picture
    try:
        left = examples.read(torch.arange(600))["content"][:, 0, 0, 0]
    finally:
        content_style._resized = original
    assert left.unique().tolist() == list(range(60 - 32 + 1))


def test_val_pairs_go_through_all_combinations(tmp_path):
    content = Photographs(_gallery(tmp_path / "c", 12, 0), val_share=0.25, test_share=0.25)
    style = Photographs(_gallery(tmp_path / "s", 8, 100), val_share=0.25, test_share=0.25)
    pairs = ContentStyle(content, style, 16, 20).split("val").read(torch.arange(6))
    levels = set(zip(pairs["content"][:, 0, 0, 0].tolist(), pairs["style"][:, 0, 0, 0].tolist(), strict=True))
    assert len(levels) == 6
    assert len(ContentStyle(content, style, 16, 20).split("val")) == 6
    assert len(ContentStyle(content, style, 16, 20, eval_pairs=4).split("val")) == 4


def test_folders_are_split_into_disjoint_pictures(tmp_path):
    source = ContentStyle(
        Photographs(_gallery(tmp_path / "c", 12, 0), 0.25, 0.25), Photographs("flower.jpg"), 16, 20, eval_pairs=100
    )
    seen = {}
    for name in ("train", "val", "test"):
        examples = source.split(name)
        rows = torch.arange(min(len(examples), 200))
        seen[name] = set(examples.read(rows)["content"][:, 0, 0, 0].tolist())
    assert sorted(level for part in seen.values() for level in part) == list(range(12))


def test_the_datamodule_serves_pairs(tmp_path):
    data = ImageData(_embedded(), [3, 32, 32], None, 4, 32, 3, in_memory=False, cache_dir=tmp_path / "cache")
    data.setup()
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert set(batch) == {"content", "style", "index"}
    assert batch["content"].dtype == torch.float32
    assert batch["content"].min() >= -1
    assert [len(batch["index"]) for batch in data.val_dataloader()] == [1]
    with pytest.raises(ValueError, match=r"need a source of single images, got one of \['content', 'style'\]"):
        data.reference("val")


def test_bad_pictures_are_named_or_skipped(tmp_path, capsys):
    folder = _gallery(tmp_path / "c", 6, 0)
    (tmp_path / "c" / "bad.png").write_bytes(b"nothing")

    def source(policy):
        content = Photographs(folder, 0, 0, on_bad_image=policy, cache_dir=tmp_path / "cache")
        return ContentStyle(content, Photographs("flower.jpg"), 16, 20)

    with pytest.raises(BadImage, match=r"bad\.png"):
        source("error").split("train")
    assert len(source("skip").split("train").content) == 6
    assert "skipped 1 of 7 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 64}, r"image_size must lie in \[1, resize=48\], got 64"),
        ({"crop": "middle"}, "crop must be random or centre, got 'middle'"),
        ({"eval_pairs": 0}, "train_pairs and eval_pairs must be at least 1, got 100000 and 0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        _embedded(**options)


def test_the_first_pair_chooses_the_crops_of_a_single_pair():
    stream = _embedded().split("train").read(torch.arange(4))
    for first in range(4):
        only = _embedded(train_pairs=1, first_pair=first).split("train")
        assert torch.equal(only.read(torch.tensor([0]))["content"][0], stream["content"][first])
        assert torch.equal(only.read(torch.tensor([0]))["style"][0], stream["style"][first])
    prints = {_embedded(train_pairs=1, first_pair=first).split("train").fingerprint for first in range(4)}
    assert len(prints) == 4


def test_random_evaluation_crops_are_fixed_and_not_those_of_training():
    train = _embedded().split("train").read(torch.arange(50))
    held_out = {}
    for name in ("val", "test"):
        examples = _embedded(eval_crop="random", eval_pairs=20, first_pair=7).split(name)
        assert len(examples) == 20
        held_out[name] = examples.read(torch.arange(20))
        assert torch.equal(held_out[name]["content"], examples.read(torch.arange(20))["content"])
    assert not torch.equal(held_out["val"]["content"], held_out["test"]["content"])
    for pairs in held_out.values():
        assert not torch.equal(pairs["content"], train["content"][:20])
    assert len(_embedded().split("val")) == 1


def test_whole_styles_are_one_central_square_of_a_size_of_its_own():
    source = _embedded(whole_styles=True, style_size=48, eval_crop="random")
    pairs = [source.split(name).read(torch.arange(4)) for name in ("train", "val")]
    whole = _embedded(image_size=48).split("val").read(torch.tensor([0]))["style"]
    for pair in pairs:
        assert torch.equal(pair["style"], whole.expand(4, -1, -1, -1))
        assert pair["content"].shape == (4, 3, 32, 32)
    assert torch.equal(pairs[0]["content"], _embedded().split("train").read(torch.arange(4))["content"])


def test_odd_crops_are_refused():
    with pytest.raises(ValueError, match="eval_crop must be random or centre, got 'corner'"):
        _embedded(eval_crop="corner")
    with pytest.raises(ValueError, match=r"style_size must lie in \[1, resize=48\], got 64"):
        _embedded(style_size=64)
    with pytest.raises(ValueError, match="first_pair must not be negative, got -1"):
        _embedded(first_pair=-1)


def test_several_roots_are_one_collection(tmp_path):
    both = Photographs(["china.jpg", "flower.jpg", _gallery(tmp_path / "g", 8, 0)], val_share=0.25, test_share=0.25)
    alone = Photographs(tmp_path / "g", val_share=0.25, test_share=0.25)
    for split in ("train", "val", "test"):
        files, _ = both.files(split, 16)
        assert [file.rsplit("/", 1)[-1] for file in files[:2]] == ["china.jpg", "flower.jpg"]
        assert files[2:] == alone.files(split, 16)[0]
    with pytest.raises(ValueError, match="root must name at least one folder or picture, got none"):
        Photographs([])
