"""What does not fit together is found before anything is trained, and leaves no folder behind."""

import pytest
from omegaconf import OmegaConf

import tiny
from genexp.config.compose import compose
from genexp.runs.run_folder import RunFolder
from genexp.training.assemble import assemble
from genexp.training.settle import settled


@pytest.mark.parametrize("guidance", ["classifier_free", "interval"])
def test_guidance_needs_classes(guidance, tmp_path):
    overrides = [*tiny.overrides_for("diffusion"), f"sampler/guidance={guidance}", f"paths.outputs={tmp_path / 'runs'}"]
    with pytest.raises(ValueError, match=r"sampler\.guidance: must be none for a model without classes, got Class"):
        tiny.run(overrides)
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("further", [["sampler/guidance=none"], ["model.num_classes=10", "sampler/guidance=interval"]])
def test_guidance_that_fits_is_accepted(further, tmp_path):
    folder = RunFolder.claim(tmp_path / "run", {"id": "test", "name": "test"})
    config = compose("train", [*tiny.overrides_for("diffusion"), *further])
    experiment = assemble(OmegaConf.create(settled(config)), folder)
    assert experiment.model.images_seen == 0


def test_samplers_and_models_that_know_no_guidance_are_left_alone(tmp_path):
    overrides = ["training.max_images=32", "metrics=none", "training.monitor=null", f"paths.outputs={tmp_path}"]
    folder = tiny.run([*tiny.overrides_for("vae"), *overrides])
    assert folder.record["state"] == "finished"
