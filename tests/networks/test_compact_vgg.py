import pytest
import torch
from torch import nn

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.networks.classifier import ConvClassifier
from genexp.networks.compact_vgg import CompactVGG
from genexp.networks.shipped_networks import ARCHITECTURES, TrainedEncoder, trained_network, trained_with_card
from genexp.shipped import ASSETS, WrongDigest, load_asset, save_asset

WIDTHS = ((4,), (6, 8), (8,))


def images(count=3, size=16, seed=0):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def trained():
    """A network whose batch statistics and scales are far from their start."""
    torch.manual_seed(0)
    network = CompactVGG(3, 5, WIDTHS)
    for step in range(10):
        network(images(8, seed=step) * (step + 1))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -1, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return network.eval()


@pytest.fixture
def asset(tmp_path, trained):
    card = {"architecture": "CompactVGG", "network": trained.folded().settings, "image_size": 16}
    save_asset("small", trained.folded(), card, tmp_path)
    return tmp_path


def test_layers_are_named_as_in_vgg_and_the_last_stage_is_not_pooled():
    assert CompactVGG(3, 5, WIDTHS).names == [
        *("conv1_1", "relu1_1", "pool1"),
        *("conv2_1", "relu2_1", "conv2_2", "relu2_2", "pool2"),
        *("conv3_1", "relu3_1"),
    ]


def test_folding_keeps_every_map_and_leaves_no_batch_statistics(trained):
    folded = trained.folded()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    for name, expected in trained.maps(images(), trained.names).items():
        torch.testing.assert_close(folded.maps(images(), [name])[name], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(folded(images()), trained(images()), rtol=1e-4, atol=1e-4)
    alone = folded(images()[:1])
    torch.testing.assert_close(alone, folded(images())[:1])
    with pytest.raises(ValueError, match="only a network with batch_norm=True can be folded"):
        folded.folded()


def test_features_are_the_mean_of_the_last_map_and_feed_the_head(trained):
    last = trained.maps(images(), ["relu3_1"])["relu3_1"]
    torch.testing.assert_close(trained.features(images()), last.mean((2, 3)))
    torch.testing.assert_close(trained.head(trained.features(images())), trained(images()))
    assert trained.features(images(size=40)).shape == (3, 8)


def test_a_captured_map_is_not_changed_by_later_layers(trained):
    alone = trained.maps(images(), ["conv2_1"])["conv2_1"]
    assert (alone < 0).any()
    torch.testing.assert_close(trained.maps(images(), ["relu3_1", "conv2_1"])["conv2_1"], alone)


def test_every_parameter_learns():
    network = CompactVGG(3, 5, WIDTHS)
    network(images(8)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_bad_arguments_are_refused(trained):
    for call, text in (
        (lambda: CompactVGG(3, 5, [[4], []]), "widths must name at least one convolution in every stage"),
        (lambda: trained.maps(images(), ["relu9_9"]), "layers must be among conv1_1, .* got relu9_9"),
        (lambda: trained(torch.zeros(1, 1, 16, 16)), r"image must have shape \(B, 3, H, W\), got \(1, 1, 16, 16\)"),
        (lambda: trained(torch.zeros(1, 3, 3, 3)), r"image is too small for pool2: the map before it is \(1, 1\)"),
    ):
        with pytest.raises(ValueError, match=text):
            call()


def test_a_shipped_network_is_built_from_its_card(asset, trained):
    network, card = trained_with_card("small", asset)
    torch.testing.assert_close(network(images()), trained(images()), rtol=1e-2, atol=1e-2)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert card["image_size"] == 16
    assert isinstance(trained_network("digits_classifier"), ConvClassifier)


def test_other_bytes_and_unknown_architectures_are_refused(asset, trained):
    save_asset("odd", trained.folded(), {"architecture": "Perceiver", "network": {}, "image_size": 8}, asset)
    with pytest.raises(
        ValueError,
        match="must name one of ConvClassifier, CompactVGG, MapCodec, PicturesAndWords, got 'Perceiver'",
    ):
        trained_network("odd", asset)
    path = asset / "small.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(WrongDigest, match="must have the SHA-256 of its card"):
        trained_network("small", asset)


def test_an_encoder_stays_frozen_and_out_of_checkpoints(asset, trained):
    encoder = TrainedEncoder("small", last="relu2_2", folder=asset)
    assert encoder.names[-1] == "relu2_2"
    assert not encoder.state_dict()
    assert not list(encoder.parameters())
    assert not encoder.train().training
    found = encoder(images(), ["relu2_1", "conv1_1"])
    expected = trained.maps(images(), ["relu2_1", "conv1_1"])
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=2e-2, atol=2e-2)
    assert encoder.double()(images().double(), ["relu1_1"])["relu1_1"].dtype == torch.float64
    with pytest.raises(ValueError, match=r"layers must be one of .* got relu3_1"):
        encoder(images(), ["relu3_1"])
    with pytest.raises(ValueError, match=r"last must be one of .* got relu9_9"):
        TrainedEncoder("small", last="relu9_9", folder=asset)
    with pytest.raises(ValueError, match="a network with named maps, got digits_classifier, a ConvClassifier"):
        TrainedEncoder("digits_classifier")


def test_every_shipped_file_fits_its_card():
    for path in ASSETS.glob("*.safetensors"):
        state, card = load_asset(path.stem)
        assert card["command"].startswith("genexp train experiment=")
        if card["architecture"] in ARCHITECTURES:
            trained_network(path.stem)
        else:  # the network of a recipe
            build(compose("train", card["command"].split()[2:]).model).network.load_state_dict(state)
        assert path.stat().st_size <= 5e6
