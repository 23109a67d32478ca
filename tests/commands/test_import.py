"""genexp import: pipelines that diffusers has saved, as runs that draw the same images and that every command takes."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from PIL import Image

import tiny
from genexp.commands.evaluate import evaluate
from genexp.commands.import_folder import import_folder
from genexp.commands.stylize import stylize
from genexp.commands.typed_arguments import overrides_of
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.inference.run import load_run
from genexp.tensors import IndexedNoise

TWIN = {"flip_sin_to_cos": False, "freq_shift": 1, "downsample_padding": 0, "norm_eps": 1e-6}
"""What the published networks of DDPM have."""

SCHEDULERS = {
    "linear": {},
    "trailing": {"timestep_spacing": "trailing"},
    "cosine": {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction", "variance_type": "fixed_large"},
    "scaled": {
        "beta_schedule": "scaled_linear",
        "beta_end": 0.01,
        "num_train_timesteps": 500,
        "timestep_spacing": "trailing",  # at 476 of 500 more than a tenth is signal, which leading is refused for
    },
    "listed": {"trained_betas": torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64).tolist()},
}


def saved(folder="theirs", scheduler=None, **changed):
    """A tiny pipeline of random weights."""
    torch.manual_seed(1)
    sizes = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (16, 32),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 16,
    }
    network = UNet2DModel(**{**TWIN, **sizes, **changed})
    with torch.no_grad():
        for each in network.parameters():
            each.add_(0.05 * torch.randn(each.shape))
    DDPMPipeline(network, DDPMScheduler(**(scheduler or {}))).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["genexp"])


def imported(*typed):
    words = overrides_of(
        "import", ["folder=theirs", "train=[data=digits,trainer=cpu,threads=1,sampler=ddim,sampler.steps=20]", *typed]
    )
    import_folder(compose("import", words))
    return tiny.newest(Path("outputs"))


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_a_run_draws_what_the_pipeline_draws(kind):
    saved(scheduler=SCHEDULERS[kind])
    pipeline = DDIMPipeline.from_pretrained("theirs", low_cpu_mem_usage=False)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    given = {"num_inference_steps": 20, "use_clipped_model_output": True, "output_type": "pt"}
    theirs = pipeline(batch_size=3, generator=torch.Generator().manual_seed(5), **given).images
    start = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    opened = load_run(imported().path)
    sampler = build(opened.config.sampler)  # which is DDIM of 20 steps, at the times of the folder's scheduler
    ours = sampler.run(opened.model.source(), start, IndexedNoise(0, range(3)))
    torch.testing.assert_close(ours.clamp(-1, 1), 2 * theirs - 1, rtol=0, atol=1e-4)
    assert theirs.std() > 0.1


def test_a_run_of_a_folder_is_measured_and_trained_on(capsys):
    saved(num_class_embeds=11)
    run = imported("name=adopted")
    assert load_run(run.path).samples(2, label=3).shape == (2, 1, 8, 8)
    few = ["num=16", "metrics=fd", "device=cpu", "threads=1", "pictures=0", "grid=0"]
    evaluate(compose("evaluate", [f"run={run.path}", *few, "extractor=random"]))
    line = next(each for each in capsys.readouterr().out.splitlines() if each.startswith("train on"))
    typed = [each for each in shlex.split(line.removeprefix("train on"))[2:] if not each.startswith("initial.run=")]
    short = [
        "training.max_images=32",
        "training.evaluate_every=32",
        "training.checkpoint_every=32",
        "data.batch_size=16",
    ]
    after = tiny.run([*typed, *tiny.COMMON, *short, f"initial.run={run.path}"])
    before, now = (tiny.checkpoint(each)["state_dict"] for each in (run, after))
    assert before.keys() == now.keys()
    assert 0 < max(float((before[name] - now[name]).abs().max()) for name in before) < 0.1


def test_pictures_are_painted_by_a_run_of_a_folder():
    saved()
    run = imported("name=adopted")
    given = ["content=china.jpg", "style=flower.jpg", "method=diffusion", "device=cpu", "threads=1"]
    for name, more in (("plain", ["style_scale=0"]), ("painted", ["style_scale=0.5"])):
        stylize(compose("stylize", [f"run={run.path}", *given, *more, f"out={name}.png"]))
    plain, painted = (np.asarray(Image.open(f"{name}.png")) for name in ("plain", "painted"))
    assert plain.shape[:2] == (8, 8)
    assert (plain != painted).any()


def test_what_has_no_counterpart_is_refused_in_one_line():
    saved(**{"flip_sin_to_cos": True})
    with pytest.raises(ValueError, match=r"config must be of a UNet2DModel that .* got flip_sin_to_cos True"):
        imported()
    assert not list(Path("outputs").rglob("run.json"))
    saved(scheduler={"beta_schedule": "sigmoid"})
    with pytest.raises(ValueError, match=r"beta_schedule of the scheduler must be one of linear, .* got sigmoid"):
        imported()
    saved(scheduler={"thresholding": True})
    with pytest.raises(ValueError, match="thresholding of the scheduler must be false, got true"):
        imported()
    saved()
    path = Path("theirs/scheduler/scheduler_config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lambda_min_clipped": -5.0}))
    with pytest.raises(ValueError, match=r"scheduler must be one of DDPMScheduler, .* got lambda_min_clipped"):
        imported()
    saved(scheduler={"trained_betas": [0.1, 0.2, 0.1]})
    with pytest.raises(ValueError, match=r"trained_betas of the scheduler must be those of cosine, .* got others"):
        imported()
    saved()
    with pytest.raises(ValueError, match=r"train must name data of the model's .1, 8, 8., got .3, 8, 8."):
        imported("train=[data=shapes,data.image_size=8]")
    with pytest.raises(ValueError, match=r"^train must hold overrides of genexp train: dat: .*did you mean .*data"):
        imported("train=[dat=digits]")


def test_folders_that_are_none_and_pickles_are_refused():
    for name, told in (
        ("nowhere", "folder must be a folder that diffusers has saved, got nowhere"),
        ("google/ddpm-cifar10-32", "genexp import hub=google/ddpm-cifar10-32 fetches it from the hub"),
        (".", r"folder must hold model_index\.json, as diffusers saves it"),
    ):
        with pytest.raises(FileNotFoundError, match=told):
            imported(f"folder={name}")
    with pytest.raises(ValueError, match="folder must name a folder that diffusers has saved"):
        imported("folder=null")
    weights = Path(saved()) / "unet/diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:2000])
    with pytest.raises(ValueError, match="weights must be a state dict, could not read"):
        imported()
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(FileNotFoundError, match=r"without it, and \.bin files are not read: they are pickles"):
        imported()


def test_a_configuration_brings_numbers_and_nothing_that_is_resolved():
    config = Path(saved()) / "unet/config.json"
    plain = json.loads(config.read_text())
    for key, value in (("dropout", "${oc.env:HOME}"), ("layers_per_block", "1 model=gan"), ("sample_size", [8, 8])):
        config.write_text(json.dumps(plain | {key: value}))
        with pytest.raises(ValueError, match=rf"config\.json in .* {key}"):
            imported()
