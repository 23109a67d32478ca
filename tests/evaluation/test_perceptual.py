import pytest
import torch
import torchvision
from torch import nn
from torchmetrics.functional.image import lpips as reference_lpips

from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.perceptual_networks import BACKBONES, LpipsDistance, MapDistance
from genexp.evaluation.extractors.untrained import Pixels
from genexp.evaluation.extractors.whole_images import Images
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.perceptual import Lpips, LpipsDiversity, PerceptualDistance, PerceptualDiversity
from genexp.evaluation.scores import Generated
from genexp.evaluation.summaries import FeatureStore
from genexp.networks.compact_vgg import CompactVGG
from genexp.shipped import WrongDigest
from genexp.tensors import to_uint8


def noise(count, *shape, seed=0):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def stored(images):
    store = FeatureStore(images[0].numel())
    store.update(to_uint8(images).flatten(1), torch.arange(len(images)))
    return store


def run(metric, generated, real):
    (value,) = metric.compute(stored(generated), metric.prepare(stored(real), metric.extractor)).values()
    return value


def random_backbone(net):
    with torch.device("meta"):
        model = torchvision.models.get_model(BACKBONES[net][0])
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(tensor.shape, generator=generator) * 0.05
        for name, tensor in model.state_dict().items()
        if name.startswith("features.")
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbones")
    paths = {net: str(folder / f"{net}.pth") for net in ("alex", "squeeze")}
    for net, path in paths.items():
        torch.save(random_backbone(net), path)
    return paths


@pytest.fixture(scope="module")
def vgg():
    torch.manual_seed(0)
    return CompactVGG(3, 10, widths=((8, 8), (12,)), batch_norm=False)


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_lpips_is_torchmetrics_with_the_same_backbone(files, net, monkeypatch):
    def untrained(name, pretrained=False):
        model = getattr(torchvision.models, name)(weights=None)
        model.load_state_dict(random_backbone(net), strict=False)
        return model.features

    monkeypatch.setattr(reference_lpips, "_get_tv_model_features", untrained)
    expected_network = reference_lpips._NoTrainLpips(net=net)
    monkeypatch.undo()
    a, b = noise(3, 3, 40, 40), noise(3, 3, 40, 40, seed=1)
    found = LpipsDistance(net, files[net])(a, b)
    torch.testing.assert_close(found, expected_network(a, b).flatten())
    assert bool((found > 0).all())


def test_lpips_leaves_the_global_generator_alone_and_knows_its_file(files):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    distance = LpipsDistance("alex", files["alex"])
    assert torch.equal(torch.rand(3), expected)
    assert LpipsDistance("alex", files["alex"], digest=distance.digest[:8]).digest == distance.digest
    with pytest.raises(WrongDigest, match="must have a SHA-256 that begins with 00000000"):
        LpipsDistance("alex", files["alex"], digest="00000000")
    with pytest.raises(ValueError, match="digest must give at least 8 digits of a SHA-256, got 'ab'"):
        LpipsDistance("alex", files["alex"], digest="ab")


def test_paired_lpips_through_an_evaluator_has_no_suffix_and_records_its_network(files):
    metric = Lpips(Images([1, 32, 32]), weights=files["alex"])
    images = noise(24, 1, 32, 32)
    real = ImageSet("train", "x", 24, (1, 32, 32), lambda: [{"image": images}])
    evaluator = Evaluator(Pixels(1, 4), {"lpips": metric})
    reference = evaluator.reference(real)
    scores = evaluator.scores(evaluator.summarise([{"image": images}]), reference, Generated(24, 0, "raw", "none"))
    assert scores["lpips"].value.value == 0
    assert scores["lpips"].protocol.settings == f"Lpips(digest={metric.digest!r}, net='alex')"
    assert run(metric, images + 0.1 * noise(24, 1, 32, 32, seed=1), images).value > 0
    with pytest.raises(ValueError, match="as many generated as real images, got 23 and 24"):
        run(metric, images[1:], images)


def test_lpips_diversity_is_none_for_copies(files):
    metric = LpipsDiversity(Images([3, 32, 32]), pairs=30, weights=files["alex"])
    real = noise(12, 3, 32, 32)
    copies = run(metric, real[:1].repeat(12, 1, 1, 1), real)
    assert copies.value == pytest.approx(0, abs=1e-7)
    assert run(metric, real, real).value == copies.details["real"] > 0


def test_bad_backbones_and_images_are_refused(files, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="net must be one of alex, vgg, squeeze, got resnet"):
        LpipsDistance("resnet")
    with pytest.raises(FileNotFoundError, match="weights must be a file with a torchvision state dict of alexnet, got"):
        LpipsDistance("alex", str(tmp_path / "none.pth"))
    with pytest.raises(ValueError, match=r"weights must hold features.0.weight of shape \(64, 3, 3, 3\)"):
        LpipsDistance("squeeze", files["alex"])
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="weights must be a state dict, could not read"):
        LpipsDistance("alex", str(tmp_path / "bad.pth"))
    metric = Lpips(Images([1, 8, 8]), weights=files["alex"])
    with pytest.raises(ValueError, match=r"net=alex needs images of at least 31 x 31 pixels, got \(8, 8\)"):
        metric.prepare(stored(noise(2, 1, 8, 8)), metric.extractor)
    metric = LpipsDiversity(Images([3, 32, 32]), weights=files["alex"])
    with pytest.raises(ValueError, match="LpipsDiversity needs at least 2 real images, got 1"):
        metric.prepare(stored(noise(1, 3, 32, 32)), metric.extractor)


def test_a_backbone_that_cannot_be_downloaded_is_named(tmp_path, monkeypatch, caplog):
    def unreachable(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(ConnectionError, match=r"alexnet-owt-7be5be79.pth cannot be reached \(no route\); put .* at"):
        LpipsDistance("alex")
    assert "downloading https://download.pytorch.org/models/alexnet-owt-7be5be79.pth" in caplog.text


def test_a_map_distance_is_its_closed_form():
    class Two(nn.Module):
        channels = 2

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def maps(self, image, layers):
            return {layer: image * (i + 1) for i, layer in enumerate(layers)}

    def single(x, y):
        return torch.tensor([x, y]).reshape(1, 2, 1, 1).expand(1, 2, 3, 3)

    distance = MapDistance(Two(), ["one", "two"])
    right_angle = distance(single(0.5, 0.0), single(0.0, 0.9))
    assert float(right_angle) == pytest.approx(2, rel=1e-5)
    assert float(distance(single(0.5, 0.0), single(0.9, 0.0))) == pytest.approx(0, abs=1e-6)
    half = 2 - 2 * 0.5**0.5
    assert float(distance(single(0.5, 0.0), single(0.3, 0.3))) == pytest.approx(half, rel=1e-5)
    with pytest.raises(ValueError, match="layers must name at least one map"):
        MapDistance(Two(), [])


def test_perceptual_distance_is_a_distance_and_grey_images_are_repeated(vgg):
    layers = ["relu1_2", "relu2_1"]
    metric = PerceptualDistance(Images([1, 16, 16]), vgg, layers)
    real = noise(44, 1, 16, 16)
    assert run(metric, real, real).value == 0
    steps = [run(metric, real + level * noise(44, 1, 16, 16, seed=1), real) for level in (0.1, 0.3, 1.0)]
    assert 0 < steps[0].value < steps[1].value < steps[2].value < 2
    assert len(steps[0].draws) == 20
    colour = PerceptualDistance(Images([3, 16, 16]), vgg, layers)
    other = (real + 0.3 * noise(44, 1, 16, 16, seed=1)).expand(-1, 3, -1, -1)
    assert run(colour, other, real.expand(-1, 3, -1, -1)).value == pytest.approx(steps[1].value, rel=1e-5)
    assert metric.layers == "relu1_2 relu2_1"
    assert metric.digest != PerceptualDistance(Images([1, 16, 16]), vgg, layers[:1]).digest


def test_perceptual_diversity_is_lost_when_few_images_repeat(vgg):
    metric = PerceptualDiversity(Images([3, 16, 16]), vgg, ["relu1_2"], pairs=300)
    real = noise(60, 3, 16, 16)
    found = run(metric, real[:3].repeat(20, 1, 1, 1), real)
    assert found.value < 0.9 * found.details["real"]
    assert len(found.draws) == 20
    with pytest.raises(ValueError, match="layers must be among conv1_1"):
        PerceptualDiversity(Images([3, 16, 16]), vgg, ["fc"]).prepare(stored(real), Images([3, 16, 16]))
    with pytest.raises(ValueError, match="PerceptualDiversity needs the extractor Images, got Pixels"):
        metric.prepare(stored(real), Pixels(3, 4))
