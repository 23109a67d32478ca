"""Codes of images that stay as they are: encoded once, and what is learned is the same to the last bit."""

import pytest
import torch

import tiny
from genexp.callbacks.known_codes import Codes
from genexp.evaluation.cache import TensorCache
from genexp.inference.shipped_codec import ShippedCodec
from genexp.training import assemble

RECIPE = [
    *("experiment=ldm/shapes", "data.image_size=16", "data.batch_size=24", "model.network.image_size=4"),
    *("model.network.width=8", "data.source.train_images=96", "data.source.val_images=48", "metrics=none"),
    *("training.max_images=216", "training.evaluate_every=96", "data.eval_batch_size=24", "sampler.steps=2"),
    *(each for each in tiny.COMMON if "evaluate.num" not in each and "val_batches" not in each),
]


class _Counted:
    """Codes of four numbers of an image, by a codec that counts what it encodes."""

    image_shape, code_shape, fingerprint = (1, 2, 2), (4,), "counted"

    def __init__(self):
        self.encoded = 0

    def encode(self, image):
        self.encoded += len(image)
        return image.flatten(1) / 3

    def decode(self, code):
        return 3 * code.reshape(-1, 1, 2, 2)


def _images(count):
    return torch.randn(count, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def test_every_image_is_encoded_in_the_first_batch_that_shows_it_and_then_no_more(tmp_path):
    image, codec = _images(6), _Counted()
    codes = Codes(codec, 6, TensorCache(tmp_path), "content")
    for rows, encoded in (([0, 1, 2], 3), ([2, 1], 3), ([2, 3], 5), ([5, 4, 4], 8), ([0, 5, 3], 8)):
        assert torch.equal(codes.of(image[rows], torch.tensor(rows)), image[rows].flatten(1) / 3)
        assert codec.encoded == encoded
        assert len(list(tmp_path.iterdir())) == (encoded == 8)  # kept once all are known
    again = _Counted()
    kept = Codes(again, 6, TensorCache(tmp_path), "content")
    assert torch.equal(kept.of(image, torch.arange(6)), image.flatten(1) / 3)
    assert again.encoded == 0


@pytest.mark.parametrize("other", [{"content": "others"}, {"count": 5}, {"fingerprint": "another scale"}])
def test_codes_of_other_images_or_of_another_codec_are_not_taken(tmp_path, other):
    image, codec = _images(6), _Counted()
    Codes(codec, 6, TensorCache(tmp_path), "content").of(image, torch.arange(6))
    codec.fingerprint = other.get("fingerprint", codec.fingerprint)
    Codes(codec, other.get("count", 6), TensorCache(tmp_path), other.get("content", "content")).of(
        image[:5], torch.arange(5)
    )
    assert codec.encoded == 11


def test_damaged_codes_are_made_anew(tmp_path):
    image, codec = _images(6), _Counted()
    Codes(codec, 6, TensorCache(tmp_path), "content").of(image, torch.arange(6))
    [path] = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found = Codes(codec, 6, TensorCache(tmp_path), "content").of(image, torch.arange(6))
    assert torch.equal(found, image.flatten(1) / 3)
    assert codec.encoded == 12


def _trained(overrides, monkeypatch):
    """The weights of a run and how many images it encoded."""
    encoded = []
    encode = ShippedCodec.encode
    monkeypatch.setattr(ShippedCodec, "encode", lambda self, image: encoded.append(len(image)) or encode(self, image))
    run = tiny.run([*RECIPE, *overrides])
    monkeypatch.setattr(ShippedCodec, "encode", encode)
    return tiny.checkpoint(run), sum(encoded)


def test_a_run_learns_what_it_learns_of_images_that_are_encoded_anew_to_the_last_bit(tmp_path, monkeypatch):
    outputs, cache = (f"paths.{name}={tmp_path}/{name}" for name in ("outputs", "cache"))
    known, first = _trained([outputs, cache], monkeypatch)
    read, second = _trained([outputs, cache], monkeypatch)
    assert (first, second) == (96 + 48, 0)  # the splits once, and then what an earlier training kept
    monkeypatch.setattr(assemble, "known_codes", lambda codec, data: None)
    anew, third = _trained([outputs, cache], monkeypatch)
    assert third == 216 + 3 * 48
    for name, weight in anew["state_dict"].items():
        assert torch.equal(known["state_dict"][name], weight), name
        assert torch.equal(read["state_dict"][name], weight), name


def test_images_that_are_augmented_are_encoded_as_they_come(tmp_path, monkeypatch):
    flip = "data.augment=[{_target_: torchvision.transforms.v2.RandomHorizontalFlip}]"
    _, encoded = _trained([f"paths.outputs={tmp_path}", f"paths.cache={tmp_path}/cache", flip], monkeypatch)
    assert encoded > 216
