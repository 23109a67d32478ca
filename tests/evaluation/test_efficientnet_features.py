"""EfficientNet-Lite0 as an extractor and as a distance of maps: what it gives, and what it is called."""

import pytest
import torch

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.evaluation.extractors.efficientnet_features import EfficientNetFeatures
from genexp.evaluation.extractors.resizing import resized
from genexp.networks.pretrained import efficientnet_lite0

SHA = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def pictures(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_features_are_the_means_of_the_last_maps_of_resized_pictures():
    extractor = EfficientNetFeatures(image_size=64)
    colour, grey = pictures(17, 3, 40, 48), pictures(2, 1, 64, 64)  # more than go through at a time
    with torch.no_grad():
        found, expected = extractor(colour), efficientnet_lite0().features(resized(colour, 64, "torch_antialias"))
        assert torch.allclose(found, expected, atol=1e-4)
        assert torch.equal(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)))
        logits = extractor.network(resized(colour, 64, "torch_antialias"))
        assert torch.allclose(extractor.logits(expected), logits, atol=1e-3)
    assert (extractor.name, extractor.digest, extractor.dimensions) == ("efficientnet_lite0_64", SHA, 1280)
    assert EfficientNetFeatures(digest=SHA[:8]).name == "efficientnet_lite0"
    with pytest.raises(ValueError, match="image_size must be at least 32, got 16"):
        EfficientNetFeatures(image_size=16)


def test_the_distance_of_maps_has_a_name_of_its_own():
    config = compose("train", ["data=shapes", "metrics=[perceptual,perceptual_efficientnet_lite0]"])
    shipped, ours = (build(config.metrics[name]) for name in ("perceptual", "perceptual_efficientnet_lite0"))
    assert shipped.digest != ours.digest
    distance, image = ours._distance, pictures(2, 3, 32, 32)
    assert torch.equal(distance(image, image), torch.zeros(2))
    near, far = distance(image, (image + 0.05).clamp(-1, 1)), distance(image, pictures(2, 3, 32, 32).flip(0, 3))
    assert (near < far).all()
