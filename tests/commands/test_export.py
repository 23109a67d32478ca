"""genexp export: what diffusers draws from a folder is what the run draws, and refusals name the option."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
import yaml
from diffusers import DDIMPipeline, DDPMPipeline

import tiny
from genexp.commands.export import export
from genexp.config.compose import compose
from genexp.inference.exporting.card import Release
from genexp.inference.exporting.diffusers_folder import DiffusersFolder
from genexp.inference.run import load_run
from genexp.sampling.ddim import DDIM
from genexp.tensors import IndexedNoise

SHORT = ["training.max_images=64", "training.evaluate_every=64", "training.checkpoint_every=64"]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(outputs):
    """A run with classes, whose weights are away from where training begins."""
    typed = [*tiny.overrides_for("diffusion"), *SHORT, "model.num_classes=10", f"paths.outputs={outputs / 'classes'}"]
    return tiny.run(typed)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["genexp"])


def exported(folder, *typed):
    export(compose("export", [f"run={folder.path}", "out=ours", "threads=1", *typed]))
    return Path("ours")


def start(num=3):
    return torch.randn(num, 1, 8, 8, generator=torch.Generator().manual_seed(5))


def own(run, clip, label):
    """What the run draws by DDIM in 20 steps."""
    told = {"label": torch.full((3,), label)}
    return DDIM(20, clip=clip).run(run.model.source(), start(), IndexedNoise(0, range(3)), told)


def test_a_pipeline_of_diffusers_draws_the_same_images_of_one_class(run):
    exported(run, "label=3", "licence=mit")
    pipeline = DDIMPipeline.from_pretrained("ours", low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    given = {"num_inference_steps": 20, "use_clipped_model_output": True, "output_type": "pt"}
    theirs = pipeline(batch_size=3, generator=torch.Generator().manual_seed(5), **given).images
    ours = own(load_run(run.path), True, 3)
    torch.testing.assert_close(ours.clamp(-1, 1), 2 * theirs - 1, rtol=0, atol=1e-4)
    assert not torch.allclose(ours, own(load_run(run.path), True, 4), atol=1e-2)
    assert isinstance(DDPMPipeline.from_pretrained("ours", low_cpu_mem_usage=False), DDPMPipeline)
    text = Path("ours/README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert (front["license"], front["pipeline_tag"]) == ("mit", "unconditional-image-generation")
    assert f"| data | {run.config['data']['_target_']} |" in text  # the choice, where Hydra has composed it
    assert load_run(run.path).digest in text
    assert "class 3 alone, of 10" in text
    assert "| fd/digits_classifier@" in text
    assert str(run.path) not in text


def test_all_classes_are_told_by_the_loop_of_the_card(run):
    exported(run)
    text = Path("ours/README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0].replace("<this folder>", "ours")
    told = {}
    torch.manual_seed(0)
    exec(code, told)
    noise = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    condition = {"label": told["labels"]}
    ours = DDIM(50).run(load_run(run.path).model.source(), noise, IndexedNoise(0, range(4)), condition)
    torch.testing.assert_close(ours, told["x"], rtol=0, atol=1e-4)
    assert "pipeline_tag" not in yaml.safe_load(text.split("---")[1])


@pytest.mark.parametrize(
    "typed",
    [
        ["model/prediction=velocity", "model/schedule=zero_terminal_snr"],
        ["model/prediction=sample", "model/schedule=scaled_linear", "model/network=unet_adm"],
    ],
    ids=["velocity", "sample"],
)
def test_other_words_of_diffusers_are_used(outputs, typed, capsys):
    width = ["model.network.width=16", f"paths.outputs={outputs / typed[0].split('=')[1]}"]
    folder = tiny.run([*tiny.overrides_for("diffusion"), *SHORT, *typed, *width])
    exported(folder)
    config = json.loads(Path("ours/scheduler/scheduler_config.json").read_text())
    assert config["prediction_type"] == {"velocity": "v_prediction", "sample": "sample"}[typed[0].split("=")[1]]
    assert capsys.readouterr().out.splitlines()[-4].split() == ["exported", "ours"]


REFUSED = {
    "model/prediction=flow": "model.prediction must be epsilon, sample or velocity, .* got Flow",
    "model/schedule=cosine_continuous": "model.schedule must be one of integer times, .* got CosineContinuous",
    "model/network=dit": "model.network must be a unet, .* got DiT",
    "+model.network.patch_size=2": "model.network.patch_size must be 1, .* got 2",
    "model/self_conditioning=estimate": "model.self_conditioning must be null, .* has no word for, got .*estimate",
    "model/augmentation=geometric": "model.augmentation must be null, which .* has no word for, got .*augmentation",
    "model.variance=learned_range": "model.variance must be fixed_small or fixed_large, .* got learned_range",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_diffusers_has_no_word_for_is_named(typed, run):
    """Of a run whose configuration says so; the checkpoint is not read."""
    hybrid = ["model/objective=hybrid", "model.network.outputs=2"] if "learned" in typed else []
    config = compose("train", [*tiny.overrides_for("diffusion")[:-2], typed, *hybrid])
    from genexp.config.instantiate import build
    from genexp.inference.exporting.diffusers_folder import _expressed

    with pytest.raises(ValueError, match=REFUSED[typed]):
        _expressed(build(config.model))


def test_the_folder_is_drawn_from_with_the_noise_of_the_runs_sampler(run):
    def told(**sampler):
        opened = load_run(run.path)
        opened.config.sampler = {**opened.config.sampler, **sampler}
        return DiffusersFolder(opened, None, Release()).scheduler_config()

    assert told()["variance_type"] == "fixed_small"
    assert told(variance="fixed_large")["variance_type"] == "fixed_large"
    assert told(clip=False)["clip_sample"] is False
    with pytest.raises(
        ValueError, match=r"sampler\.clip must be true or false, .* has no word for other clipping, got"
    ):
        told(clip={"percentile": 0.9})


def test_what_cannot_be_done_is_refused_before_any_work(run, outputs, monkeypatch):
    monkeypatch.setattr("genexp.inference.exporting.diffusers_folder.DiffusersFolder.write", None)
    Path("taken").mkdir()
    Path("taken/README.md").write_text("mine")
    for typed, kind, told in (
        (["out=null"], ValueError, "out must name the folder that is written"),
        (["run=null"], ValueError, "run must name the run to export, got none; "),
        (["out=taken"], FileExistsError, "out must be a new folder or one that was exported before, got"),
        (["label=10"], ValueError, "label must be null or from 0 to 9, got 10"),
    ):
        with pytest.raises(kind, match=told):
            exported(run, *typed)
    vae = tiny.run([*tiny.overrides_for("vae"), *SHORT, f"paths.outputs={outputs / 'vae'}"])
    with pytest.raises(ValueError, match="format must be another than diffusers for VAE, such as onnx or safetensors"):
        exported(vae)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"format=diffusers needs the extra 'hub', .* uv sync --extra hub"):
        exported(run)


def test_a_folder_that_draws_other_images_is_not_written(run, monkeypatch):
    found = "genexp.inference.exporting.diffusers_folder.DiffusersFolder.scheduler_config"
    wrong = {"num_train_timesteps": 1000, "prediction_type": "epsilon", "timestep_spacing": "trailing"}
    monkeypatch.setattr(found, lambda self: wrong)
    with pytest.raises(
        ValueError, match=r"run must be drawn alike by diffusers, to 0\.0001, got a pixel that differs by"
    ):
        exported(run)
    assert not Path("ours/model_index.json").exists()
