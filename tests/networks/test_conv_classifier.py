import pytest
import torch

from genexp.networks.classifier import ConvClassifier


@pytest.mark.parametrize(("image_size", "channels"), [(4, 1), (8, 1), (32, 3), (16, 2)])
def test_features_and_logits_have_their_shapes(image_size, channels):
    network = ConvClassifier(channels, image_size, num_classes=7, widths=(8, 8, 16), num_features=12)
    image = torch.randn(5, channels, image_size, image_size)
    assert network.features(image).shape == (5, 12)
    assert network(image).shape == (5, 7)


def test_in_evaluation_an_image_is_classified_alone():
    network = ConvClassifier(1, 8, num_classes=3)
    network(torch.randn(32, 1, 8, 8))
    network.eval()
    image = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(network(image)[:1], network(image[:1]), rtol=1e-5, atol=1e-6)


def test_logits_are_a_function_of_the_features():
    network = ConvClassifier(1, 8, num_classes=3).eval()
    image = torch.randn(4, 1, 8, 8)
    assert torch.equal(network.head(network.features(image)), network(image))


def test_every_parameter_receives_a_gradient():
    network = ConvClassifier(1, 16, num_classes=3)
    network(torch.randn(8, 1, 16, 16)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_sizes_that_do_not_fit_are_refused():
    for size in (2, 6, 12):
        with pytest.raises(ValueError, match=f"image_size must be 4 times a power of two, got {size}"):
            ConvClassifier(1, size, 10)
    with pytest.raises(ValueError, match="widths must name at least 4 stages for image_size=64, got 3"):
        ConvClassifier(1, 64, 10)
    with pytest.raises(ValueError, match=r"image must have shape \(B, 1, 8, 8\), got \(2, 1, 9, 9\)"):
        ConvClassifier(1, 8, 10)(torch.zeros(2, 1, 9, 9))
