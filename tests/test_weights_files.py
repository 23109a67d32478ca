"""One flipped bit in a file of weights is told, by whatever reads it: checksums, published digests, cards."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

import damage
from genexp.evaluation.extractors.clip_features import ClipFeatures
from genexp.evaluation.extractors.dino_features import DinoFeatures
from genexp.evaluation.extractors.inception_features import InceptionFeatures
from genexp.evaluation.extractors.perceptual_networks import LpipsDistance
from genexp.evaluation.extractors.vgg_features import VggFeatures
from genexp.files.json_records import DamagedFile
from genexp.networks.shipped_networks import trained_network
from genexp.networks.vgg import VGG
from genexp.shipped import ASSETS, WrongDigest
from genexp.weights_files import checked_digest, read_state


def clip(path, **options):
    (path.parent / "config.json").write_text("{}")
    return ClipFeatures(folder=str(path.rename(path.with_name("pytorch_model.bin")).parent), **options)


READERS = {
    "vgg extractor": lambda path: VggFeatures(16, str(path)),
    "dino extractor": lambda path: DinoFeatures(weights=str(path)),
    "lpips": lambda path: LpipsDistance("alex", str(path)),
    "inception": lambda path: InceptionFeatures(str(path), 64),
    "clip": clip,
    "style encoder": lambda path: VGG(str(path)),
}
WITH_DIGEST = {
    "vgg extractor": lambda path, digest: VggFeatures(16, str(path), digest=digest),
    "dino extractor": lambda path, digest: DinoFeatures(weights=str(path), digest=digest),
    "lpips": lambda path, digest: LpipsDistance("alex", str(path), digest=digest),
    "clip": lambda path, digest: clip(path, digest=digest),
}


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"features.0.weight": torch.rand(64, generator=torch.Generator().manual_seed(0))}, path)
    return path


@pytest.mark.parametrize("reader", READERS)
def test_one_bit_of_a_checkpoint_of_pytorch_is_told_by_its_checksum(reader, weights):
    if reader == "clip":
        pytest.importorskip("transformers")
    damage.flip_a_bit(weights)
    torch.load(weights, weights_only=True)  # PyTorch notices nothing
    with pytest.raises(ValueError, match=r"weights must match its checksums, got .*: .*data.* is damaged"):
        READERS[reader](weights)


@pytest.mark.parametrize("reader", WITH_DIGEST)
def test_one_bit_of_safetensors_is_told_by_a_digest_that_is_given(reader, tmp_path):
    if reader == "clip":
        pytest.importorskip("transformers")
    path = tmp_path / "weights.safetensors"
    save_file({"features.0.weight": torch.rand(64)}, path)
    digest = checked_digest(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    read_state(path)  # the format has no checksum
    assert checked_digest(path) != digest
    with pytest.raises(WrongDigest, match=f"must have a SHA-256 that begins with {digest[:8]}, got"):
        WITH_DIGEST[reader](path, digest[:8])


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("alexnet-owt-7be5be79.pth", lambda: LpipsDistance("alex")),
        ("vgg16-397923af.pth", lambda: VggFeatures(16)),
        ("vgg19-dcbb9e9d.pth", lambda: VGG("torchvision")),
        ("weights-inception-2015-12-05-6726825d.pth", InceptionFeatures),
    ],
)
def test_a_kept_download_is_held_against_the_digest_in_its_name(name, read, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save({"x": torch.zeros(1)}, tmp_path / "checkpoints" / name)
    with pytest.raises(WrongDigest, match=f"{name} must have the SHA-256 that its name gives"):
        read()


OF_PYTORCH = {
    "one bit": damage.flip_a_bit,
    "a list": lambda path: torch.save([1], path),
    "code": lambda path: torch.save({"x": print}, path),
}


@pytest.mark.parametrize(
    ("ending", "how"),
    [*(("pth", how) for how in [*damage.ANYWHERE, *OF_PYTORCH]), *(("safetensors", how) for how in damage.ANYWHERE)],
)
def test_damaged_weights_are_told_in_one_line_without_advice_to_unpickle(how, ending, weights, tmp_path):
    if ending == "safetensors":
        weights = tmp_path / "weights.safetensors"
        save_file({"x": torch.rand(64)}, weights)
    (damage.ANYWHERE | OF_PYTORCH)[how](weights)
    with pytest.raises((ValueError, OSError), match="weights") as raised:
        read_state(weights)
    assert "\n" not in str(raised.value)
    assert "weights_only" not in str(raised.value)
    assert str(weights) in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps(print, 4)])
def test_a_file_of_something_else_is_told_in_words_and_without_a_warning(content, tmp_path, recwarn):
    (tmp_path / "w.pth").write_bytes(content)
    told = r"could not read .*w\.pth: it is damaged, or holds more than tensors and plain containers$"
    with pytest.raises(ValueError, match=told):
        read_state(tmp_path / "w.pth")
    assert not [str(each.message) for each in recwarn]


@pytest.fixture
def assets(tmp_path):
    for ending in ("json", "safetensors"):
        (tmp_path / f"own.{ending}").write_bytes((ASSETS / f"digits_classifier.{ending}").read_bytes())
    trained_network("own", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "harm",
    [
        *(
            harm
            for how, harm in damage.ANYWHERE.items()
            if "link" not in how and "folder" not in how and "pipe" not in how
        ),
        *damage.shapes().values(),
        damage.of_json(lambda card: card.pop("sha256") and None),
        damage.of_json(lambda card: card.update(sha256=3)),
        damage.of_json(lambda card: card.update(network=[])),
        damage.of_text(damage.repeat_a_key),
    ],
)
def test_a_damaged_card_is_told(harm, assets):
    harm(assets / "own.json")
    with pytest.raises(DamagedFile, match=r"own\.json in ") as raised:
        trained_network("own", assets)
    assert "\n" not in str(raised.value)


def test_a_card_of_other_weights_is_told(assets):
    card = json.loads((assets / "own.json").read_text())
    for change in ({"network": {**card["network"], "num_classes": 3}}, {"network": {"no": 1}}):
        (assets / "own.json").write_text(json.dumps(card | change))
        with pytest.raises(ValueError, match="the card of own must describe its weights: ") as raised:
            trained_network("own", assets)
        assert "\n" not in str(raised.value)


def test_one_bit_of_shipped_weights_is_told(assets):
    content = bytearray((assets / "own.safetensors").read_bytes())
    content[-1] ^= 1
    (assets / "own.safetensors").write_bytes(content)
    with pytest.raises(WrongDigest, match="must have the SHA-256 of its card"):
        trained_network("own", assets)
