import math

import pytest
import torch

from genexp.evaluation.metrics.vendi import Vendi, vendi_score
from genexp.evaluation.summaries import FeatureStore


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def store(features):
    found = FeatureStore(features.shape[1])
    found.update(features, torch.arange(len(features)))
    return found


def score(features, real=None):
    metric = Vendi()
    return metric.compute(store(features), metric.prepare(store(features if real is None else real), None))["vendi"]


def test_the_authors_examples():
    samples = torch.tensor([0.0, 0, 10, 10, 20, 20])
    found = vendi_score((-(samples[:, None] - samples).abs()).exp())
    assert 2.9999 < found < 3  # printed there as 2.9999
    similarities = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert vendi_score(similarities) == pytest.approx(2.1573, abs=5e-5)


def test_orthogonal_images_count_once_each_and_copies_do_not_count():
    assert score(torch.eye(6)).value == pytest.approx(6, rel=1e-12)
    assert score(torch.eye(6).repeat(5, 1)).value == pytest.approx(6, rel=1e-12)
    assert score(torch.ones(9, 4)).value == pytest.approx(1, rel=1e-7)


def test_uneven_frequencies_give_the_exponential_of_their_entropy():
    features = torch.eye(3)[[0] * 10 + [1] * 5 + [2] * 5]
    assert score(features).value == pytest.approx(math.exp(0.5 * math.log(2) + 0.5 * math.log(4)), rel=1e-12)


def test_only_directions_count():
    features = normal(30, 8)
    scaled = features * (1 + torch.arange(30.0))[:, None]
    assert score(scaled).value == pytest.approx(score(features).value, rel=1e-6)


@pytest.mark.parametrize("count", [6, 7, 8, 9, 40])
def test_both_forms_have_the_same_eigenvalues(count):
    features = normal(count, 8)
    directions = torch.nn.functional.normalize(features.double(), dim=1)
    assert score(features).value == pytest.approx(vendi_score(directions @ directions.mT), rel=1e-9)


def test_the_real_images_own_value_stands_beside_it():
    real = normal(50, 8, seed=1)
    assert score(normal(40, 8), real).details["real"] == score(real).value


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 1 image, got 0"):
        Vendi().prepare(FeatureStore(3), None)
    features = normal(5, 3)
    features[1] = 0
    with pytest.raises(ValueError, match="must have a direction for cosine similarities, got 1 images with zeros only"):
        score(features)
