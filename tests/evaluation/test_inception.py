from urllib.error import URLError

import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.inception_features import InceptionFeatures
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.evaluation.scores import Generated
from genexp.tensors import to_float


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A state dict of randomly initialised weights in torch-fidelity's format."""
    from torch_fidelity import feature_extractor_inceptionv3 as port

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(port, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(port.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = port.FeatureExtractorInceptionV3("inception-v3-compat", ["64"])
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


def levels(count, low, high, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)


def test_the_distance_is_that_of_torchmetrics_on_the_same_weights(weights):
    real, fake = levels(10, 0, 200, 0), levels(10, 100, 255, 1)
    theirs = FrechetInceptionDistance(feature=64, antialias=False, feature_extractor_weights_path=str(weights))
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    evaluator = Evaluator(InceptionFeatures(str(weights), 64), {"fid": FrechetDistance()})
    reference = evaluator.reference(ImageSet("test", "x", 10, (3, 32, 32), lambda: [{"image": to_float(real)}]))
    ours = evaluator.values(evaluator.summarise([{"image": to_float(fake)}]), reference)["fid"]["fd"].value
    assert ours == pytest.approx(float(theirs.compute()), rel=1e-4)
    assert evaluator.protocol("fid", "fd", reference, Generated(10, 0, "raw", "none")).key.startswith("fd/inception64@")


def test_grey_images_are_repeated_and_other_channels_refused(weights):
    extractor = InceptionFeatures(str(weights), 64)
    grey = to_float(levels(1, 0, 255, 0)[:, :1])
    torch.testing.assert_close(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)))
    with pytest.raises(ValueError, match=r"takes images \(B, 1 or 3, H, W\), got \(1, 2, 8, 8\)"):
        extractor(torch.zeros(1, 2, 8, 8))


def test_without_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(ConnectionError, match=r"put the file at .*6726825d\.pth.* or use metrics=fd"):
        InceptionFeatures()


def test_a_damaged_download_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"
    path.parent.mkdir()
    path.write_bytes(b"half a file")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError, match=r"must have the SHA-256 that its name gives, 6726825d.*: remove it"):
        InceptionFeatures()


def test_files_that_are_no_plain_state_dict_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="weights must be a file"):
        InceptionFeatures(str(tmp_path / "absent.pth"))
    for name, content in (("code", {"x": print}), ("other", {"weight": torch.zeros(2)})):
        path = tmp_path / f"{name}.pth"
        torch.save(content, path)
        with pytest.raises(ValueError, match="weights must be a state dict in torch-fidelity's format"):
            InceptionFeatures(str(path), 64)
    with pytest.raises(ValueError, match="features must be 64, 192, 768 or 2048, got 100"):
        InceptionFeatures(None, 100)
