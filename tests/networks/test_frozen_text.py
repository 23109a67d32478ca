"""Frozen text encoders of transformers: their own vectors, padding that changes nothing, a run that reads by one."""

import copy
import hashlib
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import genexp
import tiny
from genexp.conditioning.tokenised import Tokenised
from genexp.data.captioned_folder import CaptionedFolder
from genexp.networks.frozen_text import FrozenText
from hub_folders import LONGEST, clip_text, t5_text, tokenizer

CAPTIONS = ["a red circle", "on a red dot at"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def theirs():
    return tokenizer("tokens")


def test_captions_are_the_tokens_of_the_tokenizer_and_too_long_ones_are_refused(theirs):
    kind = Tokenised("tokens", left_out=0.1)
    rows = kind.read(CAPTIONS)
    wanted = theirs(CAPTIONS, padding="max_length", max_length=LONGEST, return_tensors="pt")
    assert kind.length == LONGEST
    assert torch.equal(rows, wanted["input_ids"])
    assert [kind.said(row) for row in rows] == CAPTIONS
    assert kind.said(kind.nothing(2, "cpu")[1]) == ""
    assert kind.read("a red dot!").tolist() == theirs(["a red dot!"], padding="max_length")["input_ids"]
    assert theirs.unk_token == theirs.eos_token  # of the "!", which is in no vocabulary here
    assert torch.equal(kind.counted(rows), wanted["attention_mask"].bool())
    for typed, told in (
        ("", "must have at least one word, got an empty text; sampler.guidance.scale=0 tells none"),
        ([], "got an empty list"),
        ("z" * 79, "must have at most 80 tokens, got 81"),
        ("a red <|endoftext|> dot", r"must not hold <\|endoftext\|>, which ends a text, got 'a red <"),
    ):
        with pytest.raises(ValueError, match=told):
            kind.read(typed)
    assert kind == Tokenised("tokens") != Tokenised("tokens", length=30)
    with pytest.raises(
        ValueError, match=r"folder must be the one with the digest 1234, got tokens with \w{12}: it was"
    ):
        Tokenised("tokens", digest="1234")
    Path("empty").mkdir()
    with pytest.raises(FileNotFoundError, match="folder must hold a tokenizer as transformers saves it, got empty"):
        Tokenised("empty")
    (Path("empty") / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="folder must hold a tokenizer that transformers loads, got empty"):
        Tokenised("empty")


def test_the_digest_is_of_all_files_that_change_what_a_text_becomes(theirs):
    before, special = Tokenised("tokens"), Path("tokens/special_tokens_map.json")
    files = [Path("tokens") / name for name in ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json")]
    content = b"".join(each.name.encode() + each.read_bytes() for each in files)
    assert before.digest == hashlib.sha256(content).hexdigest()[:12]  # as runs have recorded it
    special.write_text('{"pad_token": "a</w>"}')
    after = Tokenised("tokens")
    assert after.filler != before.filler
    assert after.digest != before.digest
    with pytest.raises(ValueError, match=f"with the digest {before.digest}, got tokens with {after.digest}"):
        Tokenised("tokens", digest=before.digest)
    config = Path("tokens/tokenizer_config.json")
    config.write_text(json.dumps({**json.loads(config.read_text()), "added_tokens_decoder": {}}))
    without = Tokenised("tokens")
    assert without.filler == before.filler
    special.unlink()
    assert Tokenised("tokens").digest == without.digest


@torch.no_grad()
@pytest.mark.parametrize("saved", [clip_text, t5_text])
def test_tokens_are_those_of_the_encoder_and_padding_changes_nothing(saved, theirs):
    network = saved("encoder", len(theirs))
    if saved is t5_text:  # its texts end with 1 and are filled up with 0
        kind = Tokenised("tokens")
        object.__setattr__(kind, "tokenizer", _Ends(theirs))
        rows = torch.tensor([[5, 6, 7, 1, 0, 0], [8, 1, 0, 0, 0, 0]])
    else:
        kind = Tokenised("tokens")
        rows = kind.read(CAPTIONS)
    frozen = FrozenText(8, kind, "encoder")
    counted = kind.counted(rows)
    found = frozen(rows)
    wanted = network(rows, attention_mask=counted.long())
    there = counted[:, :, None]
    torch.testing.assert_close(found.rows, frozen.tokens(wanted.last_hidden_state) * there, rtol=0, atol=1e-5)
    mean = (wanted.last_hidden_state * there).sum(1) / there.sum(1)
    pooled = mean if saved is t5_text else wanted.pooler_output
    torch.testing.assert_close(found.pooled, frozen.vector(pooled), rtol=0, atol=1e-5)
    assert torch.equal(found.counted, counted)
    other = torch.where(counted, rows, torch.full_like(rows, 9))
    for one, two in zip(found, frozen(other), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6)
    assert {name for name in frozen.state_dict()} == {"tokens.weight", "tokens.bias", "vector.weight", "vector.bias"}
    assert copy.deepcopy(frozen)._encoder is frozen._encoder
    whole = FrozenText(16, kind, "encoder", whole=True)(rows)
    torch.testing.assert_close(whole.rows, network(rows).last_hidden_state, rtol=0, atol=1e-5)
    assert whole.counted.all()


@torch.no_grad()
def test_names_and_buffers_of_published_weights_are_read(theirs):
    """Those of Stable Diffusion's text encoder begin with `text_model`, and places are counted among them."""
    network, kind, path = clip_text("encoder", len(theirs)), Tokenised("tokens"), Path("encoder/model.safetensors")
    state = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in load_file(path).items()}
    save_file({**state, "text_model.embeddings.position_ids": torch.arange(LONGEST)[None]}, path, {"format": "pt"})
    rows = kind.read(CAPTIONS)
    found = FrozenText(16, kind, "encoder", whole=True)(rows).rows
    torch.testing.assert_close(found, network(rows).last_hidden_state, rtol=0, atol=1e-5)
    del state["text_model.final_layer_norm.weight"]
    save_file(state, path, {"format": "pt"})
    with pytest.raises(
        ValueError, match=r"must hold the weights of its CLIPTextModel, got encoder with .*norm.weight mis"
    ):
        FrozenText(16, kind, "encoder", whole=True)


class _Ends:
    eos_token_id, pad_token_id = 1, 0

    def __init__(self, other):
        self.other = other

    def __len__(self):
        return len(self.other)


def test_encoders_that_do_not_fit_the_tokenizer_are_refused(theirs):
    kind = Tokenised("tokens")
    clip_text("encoder", len(theirs))
    clip_text("few", len(theirs) - 3)
    with pytest.raises(ValueError, match=r"folder must be of an encoder of the 59 tokens of tokens, got 56 in few"):
        FrozenText(8, kind, "few")
    with pytest.raises(ValueError, match=r"of an encoder with tokens of size 8 and no mask, got tokens of size 16"):
        FrozenText(8, kind, "encoder", whole=True)
    clip_text("short", len(theirs), max_position_embeddings=10)
    with pytest.raises(ValueError, match=r"folder must be of an encoder of the 80 tokens of a text, got 10 in short"):
        FrozenText(8, kind, "short")
    with pytest.raises(FileNotFoundError, match="folder must be a folder that is there, got gone"):
        FrozenText(8, kind, "gone")


TYPED = [
    *("experiment=captions/frozen", "model.conditions.caption.folder=tokens"),
    "model.network.attended.caption.folder=encoder",
    *("data.image_size=16", "model.network.patch_size=4", "model.network.width=8", "model.network.attention=[4]"),
    *("model.network.multipliers=[1]", "model.network.heads=2", "data.batch_size=4", "training.max_images=8"),
    *("training.evaluate_every=8", "metrics=caption_truth", "sampler.steps=2", "data.source.train_images=960"),
]


def test_a_run_reads_captions_by_it_and_says_which_it_was(theirs):
    clip_text("encoder", len(theirs))
    run = tiny.run([*TYPED, *tiny.COMMON])
    parts = run.record["parts"]
    assert {key: part["folder"] for key, part in parts.items() if "metrics" not in key} == {
        "data.source.captions": str(Path("tokens").resolve()),
        "model.conditions.caption": str(Path("tokens").resolve()),
        "model.network.attended.caption": str(Path("encoder").resolve()),
        "model.network.attended.caption.text": str(Path("tokens").resolve()),
    }
    saved = [name for name in tiny.checkpoint(run)["state_dict"] if "attended" in name]
    assert sorted(name.rpartition("caption.")[2] for name in saved) == [
        *("tokens.bias", "tokens.weight", "vector.bias", "vector.weight"),
    ]
    opened = genexp.load_run(run.path)
    one, other = (opened.samples(2, caption=text) for text in ("a red circle", "a large blue square on white"))
    assert one.shape == (2, 3, 16, 16)
    assert not torch.equal(one, other)


def test_captions_of_pictures_are_read_by_it(theirs):
    Path("birds").mkdir()
    for place, text in enumerate(["A red circle!", *["a dot"] * 7]):
        Image.new("RGB", (16, 16), "red").save(f"birds/{place}.png")
        Path(f"birds/{place}.txt").write_text(text)
    kind = Tokenised("tokens")
    source = CaptionedFolder("birds", 16, kind, val_share=0.2, test_share=0.0)
    split = source.split("train")
    said = {kind.said(row) for row in split.read(torch.arange(len(split)))["caption"]}
    assert said <= {"a red circle", "a dot"}
    assert "captions in tokens of tokens, at most 80 a picture" in source.notes(None)
    Path("birds/1.txt").write_text("q" * 90)
    with pytest.raises(ValueError, match="must have at most 80 tokens, got 92"):
        [CaptionedFolder("birds", 16, kind, val_share=0.2, test_share=0.0).split(each) for each in ("train", "val")]
