"""The verdict on copies: chance for new images, certainty for copies, and numbers that can be checked by hand."""

import pytest
import torch

from genexp.evaluation.copies import NEAR, SIGNIFICANT, judged


def features(count, seed):
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


def test_new_images_are_near_as_often_as_training_images():
    found = [judged(features(500, 100 + seed), features(1000, seed)) for seed in range(20)]
    assert all(NEAR <= each.usual <= NEAR + 0.001 for each in found)  # two may be each other's nearest
    assert sum(each.near for each in found) / len(found) == pytest.approx(NEAR, abs=0.004)
    assert not any(each.copies for each in found)


def test_copies_are_told_and_counted():
    training = features(1000, 0)
    generated = torch.cat([features(450, 1), training[:50]])
    found = judged(generated, training, "f@1234")
    assert found.copies
    assert found.exact == 50
    assert found.near == pytest.approx(0.1, abs=0.02)
    assert found.p_value < 1e-20
    assert "gives back training images: " in found.words
    assert "50 exact copies, features f@1234" in found.words
    assert found.record()["copies"] is True


def test_almost_copies_are_told_too():
    training = features(1000, 0)
    assert judged(training[:100] + 1e-3 * features(100, 1), training).copies


def test_the_test_is_binomial():
    training = torch.arange(200.0)[:, None] ** 2  # spacings 1, 1, 3, 5, ...: two of 200 are at most 1 apart
    generated = torch.tensor([[0.5], [1e6], [1e7], [1e8]])
    found = judged(generated, training)
    assert (found.near, found.usual) == (0.25, 0.01)
    assert found.p_value == pytest.approx(1 - 0.99**4)
    assert (found.p_value < SIGNIFICANT) is found.copies is False


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="at least 1 generated image"):
        judged(features(0, 0), features(200, 1))
    with pytest.raises(ValueError, match="training images"):
        judged(features(10, 0), features(99, 1))
