import hashlib
import json
import shutil

import pytest
import torch

from genexp.data.datamodule import ImageData
from genexp.data.digits import Digits
from genexp.data.shapes import Shapes
from genexp.evaluation.extractors.classifiers import ClassifierFeatures
from genexp.evaluation.extractors.untrained import Coordinates, Pixels, RandomFeatures
from genexp.networks.classifier import ConvClassifier
from genexp.shipped import ASSETS, WrongDigest, load_asset, save_asset


def accuracy(extractor, data):
    correct = total = 0
    for batch in data.eval_loader("test"):
        correct += int((extractor.network(batch["image"]).argmax(1) == batch["label"]).sum())
        total += len(batch["label"])
    return correct / total


@pytest.fixture(scope="module")
def digits():
    return ImageData(Digits(), shape=[1, 8, 8], num_classes=10, batch_size=64)


def test_the_shipped_digits_classifier_is_as_accurate_as_its_card_says(digits):
    extractor = ClassifierFeatures("digits_classifier")
    measured = accuracy(extractor, digits)
    assert measured >= 0.985
    assert measured == pytest.approx(extractor.card["accuracy"]["test"], abs=1e-3)


def test_the_shipped_shapes_classifier_is_as_accurate_as_its_card_says():
    data = ImageData(Shapes(32), shape=[3, 32, 32], num_classes=24, batch_size=64)
    extractor = ClassifierFeatures("shapes_classifier")
    measured = accuracy(extractor, data)
    assert measured >= 0.98
    assert measured == pytest.approx(extractor.card["accuracy"]["test"], abs=1e-3)


@pytest.mark.parametrize("name", ["digits_classifier", "shapes_classifier"])
def test_a_card_tells_where_the_weights_come_from(name):
    card = json.loads((ASSETS / f"{name}.json").read_text())
    assert card["command"] == f"genexp train experiment={name}"
    assert {"description", "data", "split", "recipe", "accuracy", "parameters", "network", "sha256"} <= card.keys()
    weights = ASSETS / f"{name}.safetensors"
    assert weights.stat().st_size < 400_000
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == card["sha256"]


def test_a_changed_weights_file_is_refused(tmp_path):
    for suffix in ("json", "safetensors"):
        shutil.copy(ASSETS / f"digits_classifier.{suffix}", tmp_path)
    path = tmp_path / "digits_classifier.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(WrongDigest, match="must have the SHA-256 of its card"):
        ClassifierFeatures("digits_classifier", folder=tmp_path)


def test_an_unknown_asset_is_refused_with_those_that_exist():
    with pytest.raises(FileNotFoundError, match=r"digits_classifier.*got 'faces'"):
        load_asset("faces")


def test_saving_the_same_weights_gives_the_same_digest(tmp_path):
    network = ConvClassifier(1, 8, 3)
    needed = {"architecture": "any", "network": {}, "image_size": 8}
    first = save_asset("a", network, {"note": "x", **needed}, tmp_path)
    second = save_asset("b", network, {"note": "y", **needed}, tmp_path)
    assert first["sha256"] == second["sha256"]
    state, card = load_asset("a", tmp_path)
    assert card == first
    for name, value in network.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("extractor", "shape"),
    [
        (ClassifierFeatures("digits_classifier"), (1, 8, 8)),
        (ClassifierFeatures("digits_classifier"), (1, 28, 28)),
        (ClassifierFeatures("shapes_classifier"), (3, 64, 64)),
        (RandomFeatures(3), (3, 32, 32)),
        (RandomFeatures(1, width=16), (1, 8, 8)),
        (Pixels(3), (3, 20, 20)),
        (Coordinates(2), (2,)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_features_are_vectors_of_the_declared_length_that_do_not_depend_on_the_batch(extractor, shape):
    image = torch.rand(6, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = extractor(image)
    assert features.shape == (6, extractor.dimensions)
    assert not features.requires_grad
    torch.testing.assert_close(torch.cat([extractor(part) for part in image.split(4)]), features, rtol=1e-4, atol=1e-5)


def test_images_of_the_classifiers_own_size_are_not_resized():
    extractor, image = ClassifierFeatures("digits_classifier"), torch.rand(2, 1, 8, 8)
    assert torch.equal(extractor(image), extractor.network.features(image))


def test_extractors_stay_in_evaluation_mode_and_without_gradients():
    for extractor in (ClassifierFeatures("digits_classifier"), RandomFeatures(1)):
        assert not any(module.training for module in extractor.network.modules())
        assert not any(parameter.requires_grad for parameter in extractor.network.parameters())


def test_random_features_are_fixed_by_their_seed_and_no_extractor_touches_the_global_generator():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = RandomFeatures(3), RandomFeatures(3), RandomFeatures(3, seed=1)
    ClassifierFeatures("digits_classifier")
    assert torch.equal(torch.rand(3), expected)
    assert one.digest == same.digest != other.digest
    image = torch.rand(2, 3, 16, 16)
    assert torch.equal(one(image), same(image))


def test_random_features_are_the_same_on_every_machine():
    assert RandomFeatures(3).digest.startswith("5f49125d")


def test_the_wrong_number_of_channels_is_refused():
    with pytest.raises(ValueError, match=r"digits_classifier takes images \(B, 1, H, W\), got \(2, 3, 8, 8\)"):
        ClassifierFeatures("digits_classifier")(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match="extractor random takes images"):
        RandomFeatures(3)(torch.zeros(2, 8, 8))
    with pytest.raises(ValueError, match="image_size must be at least 1 pixel, got 0"):
        Pixels(1, 0)
