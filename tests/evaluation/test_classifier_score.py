import math

import pytest
import torch
from torchmetrics.image.inception import InceptionScore

from genexp.evaluation.dealing import random_parts
from genexp.evaluation.extractors.classifiers import ClassifierFeatures, StackedDigitFeatures
from genexp.evaluation.extractors.inception_features import InceptionFeatures
from genexp.evaluation.extractors.untrained import Coordinates, RandomFeatures
from genexp.evaluation.metrics.classifier_score import ClassifierScore
from genexp.evaluation.metrics.recognised import Recognised
from genexp.evaluation.protocol import describe
from genexp.evaluation.summaries import FeatureStore
from genexp.tensors import to_float


class Believing:
    """An extractor whose features are the logits themselves."""

    name = "believing"

    @staticmethod
    def logits(features):
        return features


def store(features):
    found = FeatureStore(features.shape[1])
    found.update(features, torch.arange(len(features)))
    return found


def score(features, real=None, splits=1, extractor=Believing):
    metric = ClassifierScore(splits)
    prepared = metric.prepare(store(features if real is None else real), extractor)
    return metric.compute(store(features), prepared)["classifier_score"]


def test_certain_beliefs_score_the_effective_number_of_classes():
    certain = torch.eye(10)[torch.arange(48) % 4] * 1e4
    assert score(certain).value == pytest.approx(4, rel=1e-12)
    uneven = torch.eye(2)[(torch.arange(40) < 10).long()] * 1e4
    expected = math.exp(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    assert score(uneven).value == pytest.approx(expected, rel=1e-12)


def test_equal_beliefs_score_one_however_uncertain():
    logits = torch.randn(1, 10, generator=torch.Generator().manual_seed(0)).expand(30, -1)
    assert score(logits).value == pytest.approx(1, abs=1e-12)


def test_it_is_the_definition():
    logits = torch.randn(40, 7, generator=torch.Generator().manual_seed(0)) * 3
    p = logits.double().softmax(1)
    expected = (p * (p / p.mean(0)).log()).sum(1).mean().exp()
    assert score(logits).value == pytest.approx(float(expected), rel=1e-12)


def test_splits_are_averaged_with_their_spread():
    logits = torch.randn(43, 7, generator=torch.Generator().manual_seed(0)) * 3
    part = random_parts(torch.arange(43), 4)
    parts = torch.tensor([score(logits[part == number]).value for number in range(4)])
    found = score(logits, splits=4)
    assert found.value == pytest.approx(float(parts.mean()), rel=1e-6)
    assert found.details["split_std"] == pytest.approx(float(parts.std(correction=0)), rel=1e-5)
    assert found.draws == ()


def test_splits_of_images_sorted_by_class_score_as_shuffled_ones_do():
    certain = torch.eye(10)[torch.arange(1000) // 100] * 1e4
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    by_class, shuffled = score(certain, splits=10).value, score(certain[order], splits=10).value
    assert by_class == pytest.approx(shuffled, rel=0.03)
    assert 9.4 < by_class < 10


def test_the_protocol_says_how_splits_are_cut():
    assert describe(ClassifierScore(10)) == "ClassifierScore(parts='random', splits=10)"
    assert describe(ClassifierScore()) == "ClassifierScore(splits=1)"


def test_the_real_images_own_score_stands_beside_it():
    generated, real = torch.eye(10)[torch.arange(50) % 4] * 1e4, torch.eye(10)[torch.arange(50) % 10] * 1e4
    assert score(generated, real).details["real"] == pytest.approx(10, rel=1e-9)


def test_parity_with_torchmetrics_on_quantised_images():
    extractor = ClassifierFeatures("digits_classifier")
    levels = torch.randint(0, 256, (60, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    class Network(torch.nn.Module):
        def forward(self, image):
            return extractor.network(to_float(image))

    theirs = InceptionScore(feature=Network(), splits=1)
    theirs.update(levels)
    found = score(extractor(to_float(levels)), extractor=extractor).value
    assert found == pytest.approx(float(theirs.compute()[0]), rel=1e-5)


def test_logits_of_features_are_the_networks_own():
    extractor = ClassifierFeatures("digits_classifier")
    image = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(extractor.logits(extractor(image)), extractor.network(image))


def test_stacked_digits_have_the_products_of_three_probabilities():
    extractor, single = StackedDigitFeatures(), ClassifierFeatures("digits_classifier")
    image = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = extractor(image)
    assert features.shape == (4, extractor.dimensions) == (4, 192)
    found = extractor.logits(features).exp()
    assert found.shape == (4, 1000)
    torch.testing.assert_close(found.sum(1), torch.ones(4))
    red, green, blue = (single.network(image[:, [channel]]).softmax(1) for channel in range(3))
    torch.testing.assert_close(found[:, 407], red[:, 4] * green[:, 0] * blue[:, 7])
    assert extractor.digest != single.digest


def test_features_that_do_not_classify_are_refused_before_anything_is_generated():
    metric = ClassifierScore()
    for extractor in (RandomFeatures(1), Coordinates(2)):
        with pytest.raises(ValueError, match=f"extractor must classify .* got {extractor.name}: .*digits_classifier"):
            metric.prepare(store(torch.randn(10, 4)), extractor)


def test_only_the_last_layer_of_inception_classifies():
    extractor = InceptionFeatures.__new__(InceptionFeatures)
    extractor.dimensions, extractor.name = 64, "inception64"
    with pytest.raises(ValueError, match=r"extractor must classify .* got inception64: .*features=2048"):
        ClassifierScore().prepare(store(torch.randn(10, 4)), extractor)
    with pytest.raises(AttributeError, match="logits need 2048 features, got 64"):
        _ = extractor.logits


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="splits must be at least 1, got 0"):
        ClassifierScore(0)
    with pytest.raises(ValueError, match="a score of 10 splits needs as many images, got 9"):
        score(torch.randn(9, 4), splits=10)
    with pytest.raises(ValueError, match="asset must classify 1 channel into 10 classes, got 3 into 24"):
        StackedDigitFeatures("shapes_classifier")
    with pytest.raises(ValueError, match="extractor stacked_digits takes images"):
        StackedDigitFeatures()(torch.zeros(2, 1, 8, 8))


def labelled(features, label):
    found = FeatureStore(features.shape[1])
    found.update(features, torch.arange(len(features)), label)
    return found


def test_recognised_is_the_share_of_images_of_the_asked_class():
    asked = torch.tensor([0, 1, 2, 3] * 10)
    seen = torch.where(torch.arange(40) < 4, (asked + 1) % 4, asked)
    metric = Recognised()
    prepared = metric.prepare(labelled(torch.eye(4)[asked], asked), Believing)
    found = metric.compute(labelled(torch.eye(4)[seen], asked), prepared)["recognised"]
    assert (found.value, found.details) == (pytest.approx(0.9), {"real": 1.0})
    assert sum(found.draws) / len(found.draws) == pytest.approx(0.9)
    with pytest.raises(ValueError, match="recognised needs labelled images, got 40 of 40 without a label"):
        metric.compute(store(torch.eye(4)[seen]), prepared)
    with pytest.raises(ValueError, match="needs a classifier of all classes, got class 7 and 4 classes"):
        metric.compute(labelled(torch.eye(4)[seen], asked + 4), prepared)


def test_a_classifier_is_told_which_of_its_classes_some_classes_are():
    asked = torch.tensor([0, 1] * 10)
    images = labelled(torch.eye(4)[asked + 2], asked)
    metric = Recognised(labels=[2, 3])
    assert metric.compute(images, metric.prepare(images, Believing))["recognised"].value == 1.0
    with pytest.raises(ValueError, match=r"recognised needs a classifier of these 2 classes, got one that .* 0\.0% of"):
        Recognised().prepare(images, Believing)
    with pytest.raises(ValueError, match=r"labels must have all 2 classes, got \[3\]"):
        Recognised(labels=[3]).prepare(images, Believing)
