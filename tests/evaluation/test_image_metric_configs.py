from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from genexp.evaluation.extractors.dino_features import DinoFeatures
from genexp.evaluation.extractors.vgg_features import VggFeatures

CONF = Path(__file__).parents[2] / "conf"
OFFLINE = ["reconstruction", "ms_ssim", "spectrum", "detectability", "classifier_accuracy"]
WEIGHTS = [
    "lpips",
    "lpips_diversity",
    "perceptual",
    "perceptual_efficientnet_lite0",
    "perceptual_diversity",
    "clip_score",
]
EXTRACTORS = ["vgg16", "vgg19", "dinov2", "clip", "efficientnet_lite0"]


def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=list(overrides))


@pytest.mark.parametrize("name", OFFLINE)
@pytest.mark.parametrize("data", ["digits", "shapes"])
def test_metrics_without_weights_build_for_the_shape_of_the_data(name, data):
    config = composed(f"data={data}", f"metrics={name}")
    metric = instantiate(config.metrics[name], _convert_="all")
    assert metric.extractor.shape == tuple(config.data.shape)
    assert metric.values


def test_several_metrics_are_chosen_in_one_word():
    config = composed(f"metrics=[{','.join([*OFFLINE, *WEIGHTS])}]")
    assert set(config.metrics) == {*OFFLINE, *WEIGHTS}


@pytest.mark.parametrize(
    "path", [*(f"metrics/{n}" for n in [*OFFLINE, *WEIGHTS]), *(f"extractor/{n}" for n in EXTRACTORS)]
)
def test_every_key_is_commented(path):
    lines = (CONF / f"{path}.yaml").read_text().splitlines()
    assert lines[0].startswith("#")
    for line in lines:
        key, _, value = line.strip().partition(":")
        nested = not value.strip() and line.startswith((f"{Path(path).name}:",))
        assert "#" in line or key == "_target_" or nested, line


@pytest.mark.parametrize(("name", "kind"), [("vgg16", VggFeatures), ("vgg19", VggFeatures), ("dinov2", DinoFeatures)])
def test_extractors_that_cannot_be_downloaded_say_so(name, kind, tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    node = composed(f"extractor={name}").extractor
    settings = {key: value for key, value in node.items() if key != "_target_"}
    with pytest.raises(ConnectionError, match=r"cannot be reached \(no route\); put .* or name a file with weights="):
        kind(**settings)
