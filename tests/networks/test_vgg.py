import logging
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.vgg import cfgs, make_layers
from torchvision.transforms.functional import normalize

from genexp.networks.vgg import VGG, layer_names


@pytest.fixture(scope="module")
def reference():
    """torchvision's own VGG-19 features, untrained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_layers(cfgs["E"]).eval()


@pytest.fixture(scope="module")
def weights(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    state = {f"features.{key}": value for key, value in reference.state_dict().items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    return path


def image(size=32, count=2):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def test_every_layer_has_its_standard_name_and_torchvisions_values(reference, weights):
    kinds = {nn.Conv2d: "conv", nn.ReLU: "relu", nn.MaxPool2d: "pool"}
    assert [name[:4] for name in layer_names(19)] == [kinds[type(module)] for module in reference]
    assert layer_names(19)[:7] == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1", "relu2_1"]
    assert layer_names(19)[-3:] == ["conv5_4", "relu5_4", "pool5"]
    assert layer_names(16)[-3:] == ["conv5_3", "relu5_3", "pool5"]
    found = VGG(str(weights), last="pool5")(image(), layer_names(19))
    assert list(found) == layer_names(19)
    expected = normalize((image() + 1) / 2, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    for name, module in zip(layer_names(19), reference, strict=True):
        expected = module(expected.clone())  # torchvision rectifies in place
        assert found[name].shape == expected.shape
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_captured_convolution_is_the_map_before_rectification():
    found = VGG("random", last="relu2_1")(image(), ["relu2_1", "conv2_1", "conv1_1"])
    assert list(found) == ["relu2_1", "conv2_1", "conv1_1"]
    assert found["conv2_1"].min() < 0
    assert found["conv1_1"].min() < 0
    assert torch.equal(found["conv2_1"].relu(), found["relu2_1"])


@torch.no_grad()
def test_nothing_deeper_than_asked_for_is_computed_or_built():
    vgg = VGG("random", last="relu3_1")
    assert vgg.names[-1] == "relu3_1"
    assert vgg(image(4), ["relu3_1"])["relu3_1"].shape == (2, 256, 1, 1)
    assert vgg(image(1), ["relu1_2"])["relu1_2"].shape == (2, 64, 1, 1)
    assert vgg(image(1), []) == {}
    with pytest.raises(ValueError, match="image is too small for pool1: the map before it is 1 x 1"):
        vgg(image(1), ["relu2_1"])
    with pytest.raises(ValueError, match=r"layers must be one of conv1_1, .*relu3_1, got relu4_1"):
        vgg(image(), ["relu4_1"])


def test_random_weights_are_loud_reproducible_and_independent_of_depth_built(caplog):
    with caplog.at_level(logging.WARNING):
        vgg = VGG("random", last="relu2_1", seed=3)
    assert "RANDOM weights (seed 3)" in caplog.text
    assert "features.weights=torchvision" in caplog.text
    assert VGG("random", last="relu2_1", seed=3).digest == vgg.digest
    assert VGG("random", last="relu2_1", seed=4).digest != vgg.digest
    deeper = VGG("random", last="relu3_1", seed=3)
    assert torch.equal(deeper.get_buffer("conv2_1_weight"), vgg.get_buffer("conv2_1_weight"))


@torch.no_grad()
def test_random_weights_preserve_the_second_moment_through_all_layers():
    vgg = VGG("random", last="relu4_4", pooling="average", pooling_scale=2.0, padding="reflect")
    noise = torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    found = vgg(noise * 0.45, ["relu1_1", "relu2_2", "relu3_4", "relu4_4"])
    moments = [features.square().mean().item() for features in found.values()]
    assert max(moments) / min(moments) < 16


def test_weights_stay_out_of_checkpoints_and_optimisers_and_follow_the_module():
    vgg = VGG("random", last="relu1_2")
    assert vgg.state_dict() == {}
    assert list(vgg.parameters()) == []
    parent = nn.Sequential(vgg, nn.Dropout()).train()
    assert parent.training
    assert not vgg.training
    assert parent.double()[0](image().double(), ["relu1_2"])["relu1_2"].dtype == torch.float64


def test_gradients_reach_the_image():
    pixels = image().requires_grad_()
    VGG("random", last="relu2_1")(pixels, ["relu2_1"])["relu2_1"].square().mean().backward()
    assert pixels.grad.abs().amax((1, 2, 3)).min() > 0


@torch.no_grad()
@pytest.mark.parametrize("padding", ["reflect", "replicate"])
def test_padding_other_than_zeros_leaves_no_border(padding):
    grey = torch.full((1, 3, 16, 16), 0.3)
    layers = ["relu2_2"]
    features = VGG("random", last="relu2_2", padding=padding)(grey, layers)["relu2_2"]
    torch.testing.assert_close(features, features[..., :1, :1].expand_as(features))
    bordered = VGG("random", last="relu2_2")(grey, layers)["relu2_2"]
    assert (bordered - bordered[..., 4:5, 4:5]).abs().max() > 0.1


@torch.no_grad()
def test_pooling_is_what_was_asked_for_and_scaled():
    for pooling, pool in (("max", nn.functional.max_pool2d), ("average", nn.functional.avg_pool2d)):
        found = VGG("random", last="pool1", pooling=pooling, pooling_scale=2.0)(image(), ["relu1_2", "pool1"])
        assert torch.equal(found["pool1"], 2 * pool(found["relu1_2"], 2))


def test_weights_load_from_a_path_in_two_formats_with_one_digest(weights, tmp_path):
    vgg = VGG(str(weights), last="relu2_1")
    state = torch.load(weights, weights_only=True)
    save_file(state, tmp_path / "vgg19.safetensors")
    assert VGG(str(tmp_path / "vgg19.safetensors"), last="relu2_1").digest == vgg.digest
    assert len(vgg.digest) == 64
    state["features.0.weight"][0, 0, 0, 0] += 1
    torch.save(state, tmp_path / "changed.pth")
    assert VGG(str(tmp_path / "changed.pth"), last="relu2_1").digest != vgg.digest


def test_files_without_such_weights_are_refused(weights, tmp_path):
    with pytest.raises(FileNotFoundError, match="must be torchvision, random or the path of a file, got "):
        VGG(str(tmp_path / "none.pth"))
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(ValueError, match="weights must be a torchvision state dict, could not read"):
        VGG(str(tmp_path / "text.pth"))
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(ValueError, match="weights must be a torchvision state dict, could not read"):
        VGG(str(tmp_path / "text.safetensors"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="weights must be a torchvision state dict, got a list"):
        VGG(str(tmp_path / "list.pth"))
    with pytest.raises(ValueError, match=r"VGG-16 tensors: features.17.weight of shape \(512, 256, 3, 3\) is missing"):
        VGG(str(weights), depth=16)


def test_no_network_is_one_error_that_says_what_to_do(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(ConnectionError, match=r"no route to host.*put vgg19-.*\.pth at .* weights=<file>; .*=random"):
        VGG("torchvision")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 11}, "depth must be one of 16, 19, got 11"),
        ({"pooling": "min"}, "pooling must be one of max, average, got min"),
        ({"padding": "wrap"}, "padding must be one of zeros, reflect, replicate, got wrap"),
        ({"last": "relu6_1"}, "last must be one of conv1_1, .*, pool5, got relu6_1"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        VGG("random", **options)


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"image must have shape \(B, 3, H, W\), got \(2, 1, 8, 8\)"):
        VGG("random", last="relu1_1")(torch.zeros(2, 1, 8, 8), ["relu1_1"])
