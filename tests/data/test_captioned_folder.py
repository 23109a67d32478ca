"""Captions of one's own pictures: texts beside them, lists, the words of them, and what is refused."""

import json
import unicodedata

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import tiny
from genexp.config.compose import compose
from genexp.data.captioned_folder import CaptionedFolder
from genexp.data.datamodule import ImageData
from genexp.data.word_lists import UNKNOWN, WordList, words_of
from genexp.inference.run import load_run
from genexp.training.resuming import require_resumable
from genexp.training.settle import settled
from genexp.training.taking_up import ClaimedRun

TEXTS = ["A red bird.", "a blue bird, on a branch", "the red branch", "two birds"]


@pytest.fixture
def folder(tmp_path):
    for number in range(12):
        Image.new("RGB", (12, 12), (20 * number, 0, 0)).save(tmp_path / f"{number:02d}.png")
    return tmp_path


def beside(folder, texts=TEXTS):
    for number in range(12):
        (folder / f"{number:02d}.txt").write_text(texts[number % len(texts)])


def listed(folder, name, rows):
    lines = [json.dumps(row) for row in rows]
    if name.endswith("csv"):
        lines = [",".join(rows[0]), *(",".join(f'"{value}"' for value in row.values()) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n")


def said(source, split="train"):
    words = source.captions.words
    columns = source.split(split).read(torch.arange(len(source.split(split))))
    return [" ".join(words[number - 1] for number in row if number) for row in columns["caption"].tolist()]


def test_texts_beside_pictures_become_numbers_of_the_words_of_the_training_captions(folder):
    beside(folder)
    source = CaptionedFolder(folder, 8, WordList())
    own = [" ".join(words_of(source.caption(i))) for i in range(len(source.split("train")))]
    assert said(source) == own
    assert list(source.captions.words) == sorted({word for text in own for word in text.split()})
    assert said(source, "test") == [" ".join(words_of(source.caption(i, "test"))) for i in range(1)]
    assert source.split("train").read(torch.tensor([0]))["caption"].shape == (1, 32)
    notes = "\n".join(source.notes(None))
    assert "captions of 9 words (a, bird, birds, blue, branch, ...), at most 32 a picture" in notes
    assert "passed over" not in notes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Cafe\u0301 noir, l'été!", ["café", "noir", "l'été"]),  # a letter and its mark are as the letter of both
        ("लाल चिड़िया", ["लाल", "चिड़िया"]),
        ("a_red-breasted bird^2 [x]", ["a", "red-breasted", "bird", "2", "x"]),
        ("x\u0304^2", ["x\u0304", "2"]),  # a mark of no composed letter
        ("\u0301 -- !", []),
    ],
)
def test_words_hold_the_marks_of_their_letters(text, words):
    assert words_of(text) == [unicodedata.normalize("NFC", word) for word in words]


@pytest.mark.parametrize("name", ["captions.jsonl", "captions.csv", "metadata.jsonl", "metadata.csv"])
@pytest.mark.parametrize("keys", [("file_name", "text"), ("file", "caption")])
def test_lists_say_the_same_as_texts(folder, name, keys):
    rows = [dict(zip(keys, (f"{n:02d}.png", TEXTS[n % 4]), strict=True)) for n in range(12)]
    listed(folder, name, [*rows, dict(zip(keys, ("../../secret.png", "not there"), strict=True))])
    first = CaptionedFolder(folder, 8, WordList())
    from_list = said(first)
    (folder / name).unlink()
    beside(folder)
    assert from_list == said(CaptionedFolder(folder, 8, WordList()))


@pytest.mark.parametrize("name", ["captions.jsonl", "metadata.csv"])
def test_lists_may_begin_with_a_byte_order_mark_and_hold_any_separator_in_a_caption(folder, name):
    rows = [{"file_name": f"{n:02d}.png", "text": "a bird\u2028red\x85"} for n in range(12)]
    listed(folder, name, rows)
    text = (folder / name).read_text().replace("\\u2028", "\u2028").replace("\\u0085", "\x85")
    (folder / name).write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    assert set(said(CaptionedFolder(folder, 8, WordList()))) == {"a bird red"}


def test_changed_captions_change_the_fingerprint_and_the_digest(folder):
    beside(folder)
    one = ImageData(CaptionedFolder(folder, 8, WordList()), [3, 8, 8], None, 4, 8, 3)
    kept = WordList(one.source.captions.words)
    (folder / "00.txt").write_text("a red branch")
    two = ImageData(CaptionedFolder(folder, 8, kept), [3, 8, 8], None, 4, 8, 3)
    assert one.digest("train") != two.digest("train")
    assert CaptionedFolder(folder, 8, kept).split("train").fingerprint != one.source.split("train").fingerprint


def test_captions_that_are_missing_are_named_or_empty(folder):
    beside(folder)
    for name in ("03", "05"):
        (folder / f"{name}.txt").unlink()
    told = r"got none for 2 pictures of 12 in .*: 03\.png, 05\.png; data\.source\.uncaptioned=empty"
    with pytest.raises(ValueError, match=told):
        CaptionedFolder(folder, 8, WordList()).split("train")
    source = CaptionedFolder(folder, 8, WordList(), uncaptioned="empty")
    assert sum(not text for split in ("train", "val", "test") for text in said(source, split)) == 2
    assert "2 pictures without caption" in source.notes(None)


def test_pictures_with_captions_are_not_mirrored():
    assert compose("train", ["experiment=captions/folder", "data.source.root=x"]).data.augment == []
    assert compose("train", ["model=diffusion", "data=folder"]).data.augment


def test_a_split_with_a_folder_of_its_own_never_has_the_captions_of_train(tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for number in range(4):
            Image.new("RGB", (12, 12), (20 * number, 0, 0)).save(tmp_path / split / f"{number}.png")
    for number in range(4):
        (tmp_path / "train" / f"{number}.txt").write_text("a red bird")
    source = CaptionedFolder(tmp_path, 8, WordList(), uncaptioned="empty", test_share=0.25)
    assert [source.caption(i, "val") for i in range(4)] == [""] * 4
    assert source.caption(0, "test") == "a red bird"


def test_a_caption_of_signs_alone_is_none_and_captions_without_any_word_are_refused(folder):
    beside(folder)
    (folder / "03.txt").write_text("...")
    with pytest.raises(ValueError, match=r"got none for 1 picture of 12 in .*: 03\.png;"):
        CaptionedFolder(folder, 8, WordList()).split("train")
    source = CaptionedFolder(folder, 8, WordList(), uncaptioned="empty")
    assert sum(not text for split in ("train", "val", "test") for text in said(source, split)) == 1
    assert "1 picture without caption" in source.notes(None)
    beside(folder, [""])
    with pytest.raises(ValueError, match="captions must hold at least 1 word, got none in"):
        CaptionedFolder(folder, 8, WordList(), uncaptioned="empty").split("train")


def test_a_list_of_words_is_bounded_and_others_are_refused_or_unknown(folder):
    beside(folder)
    with pytest.raises(ValueError, match=r"captions.most must be at least the 9 different words .* got 5; with"):
        said(CaptionedFolder(folder, 8, WordList(most=5)))
    source = CaptionedFolder(folder, 8, WordList(most=5, unknown="word"))
    assert len(source.captions.words) == 5
    assert UNKNOWN in source.captions.words
    assert any(UNKNOWN in text for text in said(source))
    assert any("of captions read as unknown: " in line for line in source.notes(None))
    kind = WordList(["a", "bird"])
    with pytest.raises(ValueError, match="must consist of words of the training captions, got 'cat', 'green'"):
        kind.read("a green cat")
    with pytest.raises(ValueError, match="must have at most 2 words, got 3"):
        WordList(["a", "bird"], length=2).read("a bird, a")
    assert kind.read(["a bird", "Bird, a."])[:, :3].tolist() == [[1, 2, 0], [2, 1, 0]]
    assert kind.read("A bird!")[0, :3].tolist() == [1, 2, 0]
    with pytest.raises(ValueError, match=r"caption of \d\d\.png of train must have at most 2 words, got"):
        said(CaptionedFolder(folder, 8, WordList(length=2)))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("captions.jsonl", '{"file_name": "00.png"}', "must have file_name or file and text or caption in every row"),
        ("captions.jsonl", "[1]", "row 1 of"),
        ("captions.jsonl", "{", "captions cannot be read from .*captions.jsonl"),
        ("captions.jsonl", '{"file": "a.png", "text": "a"}\n' * 2, r"must name a picture once, got a\.png twice"),
        ("metadata.csv", "file_name,label\n00.png,3\n", "must have file_name or file and text"),
        ("captions.csv", "file,text\n00.png," + "a" * 3000, "must have at most 2,000 letters, got 3,000"),
        ("00.txt", "b" * 20000, r"cannot be read from .*00\.txt: it must have at most 16,384 bytes"),
        ("00.txt", b"\xff\xfe\x00", r"cannot be read from .*00\.txt"),
    ],
)  # fmt: skip
def test_damaged_files_are_said_in_one_line(folder, name, content, told):
    beside(folder)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=told) as raised:
        CaptionedFolder(folder, 8, WordList()).split("train")
    assert "\n" not in str(raised.value)


def test_two_lists_are_refused(folder):
    for name in ("captions.jsonl", "metadata.csv"):
        listed(folder, name, [{"file_name": "00.png", "text": "a"}])
    with pytest.raises(ValueError, match=r"must stand in one list, got captions\.jsonl and metadata\.csv"):
        CaptionedFolder(folder, 8, WordList()).split("train")


def test_a_resumed_run_keeps_its_words_when_the_captions_have_changed(folder, tmp_path_factory):
    beside(folder)
    outputs = tmp_path_factory.mktemp("outputs")
    typed = ["experiment=captions/folder", f"data.source.root={folder}", "data.image_size=8", "threads=1"]
    typed += [f"paths.outputs={outputs}", "trainer=cpu", "logger=none"]
    before = settled(compose("train", typed))
    words = before["data"]["source"]["captions"]["words"]
    assert words == sorted({word for text in TEXTS for word in words_of(text)})
    (outputs / "run").mkdir()
    (outputs / "run" / "run.json").write_text("{}")
    (outputs / "run" / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(before)))
    beside(folder, ["one zebra"])
    anew, resumed = (settled(compose("train", [*typed, *more])) for more in ([], [f"resume={outputs}/run"]))
    assert anew["data"]["source"]["captions"]["words"] == ["one", "zebra"]
    assert resumed["data"]["source"]["captions"]["words"] == words
    assert resumed["model"]["conditions"]["caption"]["words"] == words
    changed = ClaimedRun(None, before=before).changed(anew)
    with pytest.raises(
        ValueError, match=r"captions\.words must stay \['a', .* by their numbers in that list"
    ) as raised:
        require_resumable(OmegaConf.create(anew), before, changed)
    assert "\n" not in str(raised.value)


def test_a_run_keeps_its_words_and_draws_by_them_when_the_captions_have_changed(folder, tmp_path_factory):
    beside(folder)
    outputs = tmp_path_factory.mktemp("outputs")
    small = ["data.image_size=8", "data.batch_size=4", "training.max_images=8", "training.evaluate_every=8"]
    small += ["callbacks.evaluate.num=4", "callbacks.sample_grid.num=2", "extractor=random", "model.network.width=8"]
    small += [
        "sampler.steps=2",
        "threads=1",
        "trainer=cpu",
        "data.source.test_share=0.2",
        f"paths.outputs={outputs}",
        f"paths.cache={outputs}/cache",
    ]
    run = tiny.run(["experiment=captions/folder", f"data.source.root={folder}", *small])
    opened = load_run(run.path)
    words = list(opened.config.data.source.captions.words)
    assert words == list(opened.config.model.conditions.caption.words)
    assert words == sorted({word for text in TEXTS for word in words_of(text)})
    before = opened.samples(2, caption="A red bird.")
    beside(folder, ["something else"])
    assert torch.equal(before, load_run(run.path).samples(2, caption="a red bird"))
    with pytest.raises(ValueError, match="caption must consist of words of the training captions, got 'green'"):
        opened.samples(1, caption="a green bird")


def test_captions_of_all_splits_are_read_before_any_is_shown(folder):
    """The fault may be in one split alone, and its note says nothing of words that are refused."""
    beside(folder)
    source = CaptionedFolder(folder, 8, WordList(length=9), val_share=0.2, test_share=0.2)
    (folder / source.pictures["test"][0].relative).with_suffix(".txt").write_text("a " * 10)
    with pytest.raises(ValueError, match=r"caption of \d\d\.png of test must have at most 9 words, got 10"):
        source.split("train")
    (folder / source.pictures["val"][0].relative).with_suffix(".txt").write_text("ostrich")
    again = CaptionedFolder(folder, 8, WordList(length=10), val_share=0.2, test_share=0.2)
    with pytest.raises(ValueError, match=r"of val must consist of words of the training captions, got 'ostrich'; data"):
        again.notes(None)


def test_texts_that_a_list_goes_before_are_told(folder):
    beside(folder)
    assert not any("not read" in line for line in CaptionedFolder(folder, 8, WordList()).notes(None))
    pictures = sorted(path.name for path in folder.rglob("*.png"))
    listed(folder, "captions.csv", [{"file_name": name, "text": "a bird"} for name in pictures])
    told = f"{len(pictures)} texts beside pictures not read, for a list goes before"
    assert told in CaptionedFolder(folder, 8, WordList()).notes(None)
