"""A real run of another user: drawn from, measured and continued, with and without `trust=true`."""

import sys

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

import tiny
from genexp.commands.evaluate import evaluate
from genexp.commands.launch import launch
from genexp.commands.sample import sample
from genexp.commands.train import train
from genexp.config.compose import compose, load_config
from genexp.runs.trust import wrote_run


@pytest.fixture
def become(tmp_path, monkeypatch):
    """A function by which this process becomes another user: with another key."""
    return lambda user: monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / user))


def test_its_model_is_drawn_from_and_its_places_are_opened_at_a_word(become, tmp_path, capsys):
    become("a stranger")
    folder = tiny.run([*tiny.overrides_for("vae"), "metrics=none"])
    private = tmp_path / "private"
    private.mkdir()
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)):
        Image.fromarray(pixels).save(private / f"{i}.png")
    data = ["data=folder", f"data.source.root={private}", "data.image_size=8", "data.channels=1"]
    config = load_config(folder.config_path, "config.yaml")
    config.data = compose("train", [*data, f"paths.cache={tmp_path / 'their cache'}"]).data
    config.data.cache_dir = str(tmp_path / "their cache")
    folder.config_path.write_text(OmegaConf.to_yaml(config, resolve=True))

    become("me")
    sample(compose("sample", [f"run={folder.path}", "num=2", f"out={tmp_path / 'drawn'}", "threads=1"]))
    assert (tmp_path / "drawn" / "images" / "000001.png").is_file()
    measured = [f"run={folder.path}", "num=20", "floor=null", "pictures=0", "grid=0", "threads=1", "extractor=pixels"]
    with pytest.raises(ValueError, match=rf"^data\.source\.root of a run .* got {private} in .* add trust=true"):
        evaluate(compose("evaluate", measured))
    assert not (folder.path / "evaluations").exists()
    capsys.readouterr()
    evaluate(compose("evaluate", [*measured, "trust=true"]))
    assert "averaged weights: 20 images against 34 of train" in capsys.readouterr().out
    assert not (tmp_path / "their cache").exists()
    become("a stranger")  # who has exchanged the configuration of a run: it is nobody's now
    with pytest.raises(ValueError, match=r"^data\.source\.root of a run that this user did not write"):
        evaluate(compose("evaluate", measured))


@pytest.mark.slow
def test_trust_holds_in_every_rank(become, tmp_path, monkeypatch):
    def genexp(*arguments):
        monkeypatch.setattr(sys, "argv", ["genexp", "train", *arguments])
        launch("train", train, list(arguments))

    run, length = tmp_path / "run", [each for each in tiny.overrides_for("vae") if not each.startswith("callbacks.")]
    become("a stranger")
    genexp(*length, "metrics=none", "trainer=ddp_cpu", "trainer.precision=32-true", f"run_dir={run}")
    become("me")
    with pytest.raises(SystemExit):
        genexp(f"resume={run}", "training.max_images=640")
    genexp(f"resume={run}", "training.max_images=640", "trust=true")
    record = tiny.newest(tmp_path).record
    assert (record["state"], record["resumed"]) == ("finished", 1)
    assert tiny.checkpoint(tiny.newest(tmp_path))["counters"]["images_seen"] == 640
    assert wrote_run(record)
