"""genexp import of Stable Diffusion's layout: the pipeline's own pictures, and a run that every command takes."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image

import tiny
from genexp.__main__ import main
from genexp.commands.export import export
from genexp.commands.import_folder import import_folder
from genexp.commands.stylize import stylize
from genexp.commands.typed_arguments import overrides_of
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.inference.run import load_run
from genexp.networks.diffusers_unet import DiffusersUNet
from genexp.tensors import IndexedNoise
from hub_folders import stable_diffusion

PUBLISHED = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULERS = {
    "published": None,
    "velocity": DDIMScheduler(
        **PUBLISHED, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="v_prediction"
    ),
    "trailing": DDIMScheduler(**PUBLISHED, clip_sample=False, timestep_spacing="trailing"),
}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["genexp"])


def imported(*typed):
    import_folder(compose("import", overrides_of("import", ["folder=theirs", "train=[trainer=cpu,threads=1]", *typed])))
    return tiny.newest(Path("outputs"))


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_a_run_draws_what_the_pipeline_draws(kind):
    stable_diffusion(scheduler=SCHEDULERS[kind])
    pipeline = StableDiffusionPipeline.from_pretrained("theirs", low_cpu_mem_usage=False)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    pipeline.set_progress_bar_config(disable=True)
    start = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    captions, steps, scale = ["a red circle", "a dot on red"], 30 if kind == "published" else 20, 3.0
    given = {"num_inference_steps": steps, "guidance_scale": scale, "latents": start, "output_type": "pt"}
    theirs = 2 * pipeline(captions, **given).images - 1
    opened = load_run(imported().path)
    model = opened.model.source()
    sampler = build(
        {**opened.config.sampler, "steps": steps, "guidance": {**opened.config.sampler.guidance, "scale": scale}}
    )
    condition = model.conditioning.read({"caption": captions})
    ours = sampler.run(model, start, IndexedNoise(0, range(2)), condition)
    torch.testing.assert_close(ours.clamp(-1, 1), theirs, rtol=0, atol=1e-4)
    assert theirs.std() > 0.05
    other = 2 * pipeline(captions[::-1], **given).images - 1
    assert (other - theirs).abs().max() > 1e-3


def test_a_run_of_it_is_written_as_a_pipeline_that_draws_the_same_and_is_read_again():
    stable_diffusion()
    first = imported()
    export(compose("export", [f"run={first.path}", "out=ours", "threads=1", "licence=mit"]))
    pipelines = [StableDiffusionPipeline.from_pretrained(each, low_cpu_mem_usage=False) for each in ("theirs", "ours")]
    start, drawn = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(5)), []
    for each in pipelines:
        each.set_progress_bar_config(disable=True)
        each.scheduler = DDIMScheduler.from_config(each.scheduler.config, clip_sample=False)
        drawn.append(each("a red circle", num_inference_steps=10, latents=start, output_type="pt").images)
    torch.testing.assert_close(*drawn, rtol=0, atol=1e-4)
    text = Path("ours/README.md").read_text()
    assert "pipeline_tag: text-to-image" in text
    assert "3 x 16 x 16, values from -1 to 1" in text
    assert "license: mit" in text
    again = imported("folder=ours", "name=again")
    one, other = (tiny.checkpoint(each)["state_dict"] for each in (first, again))
    assert tiny.differences(one, other) == []
    assert load_run(again.path).config.sampler.spacing == {"leading": 1, "end": 1}
    with pytest.raises(ValueError, match="label must be null for a run without classes, got 3"):
        export(compose("export", [f"run={first.path}", "out=other", "label=3"]))


@pytest.mark.slow
def test_a_run_of_it_is_drawn_from_edited_measured_and_trained_on(capsys, monkeypatch):
    stable_diffusion()
    for each in ("birds/train", "birds/val"):
        Path(each).mkdir(parents=True)
        for place, text in enumerate(["A red circle!", *["a dot"] * 31]):
            Image.new("RGB", (16, 16), (8 * place, 0, 255 - 8 * place)).save(f"{each}/{place}.png")
            Path(f"{each}/{place}.txt").write_text(text)
    few = "trainer=cpu,threads=1,sampler.steps=20,data=captioned_folder,data.source.root=birds,data.num_classes=null"
    run = imported("name=adopted", f"train=[{few}]")
    parts = run.record["parts"]
    assert parts["imported"]["folder"] == str(Path("theirs").resolve())
    assert {"model.codec", "model.network.attended.caption", "model.conditions.caption"} < set(parts)
    told = capsys.readouterr().out
    drawn = ["sample", f"run={run.path}", "caption=a red dot", "num=2"]
    few = ["num=8", "device=cpu", "pictures=0", "grid=0"]
    for typed in (
        [*drawn, "out=drawn"],
        [*drawn, "edit=noised", "images=birds/val", "edit.strength=0.5", "out=edited"],
        ["evaluate", f"run={run.path}", "metrics=fd", "extractor=random", *few],
    ):
        monkeypatch.setattr(sys, "argv", ["genexp", *typed])
        main()
    assert list(Path("drawn").rglob("*.png"))
    assert list(Path("edited").rglob("*.png"))
    assert "fd/" in capsys.readouterr().out
    with pytest.raises(
        ValueError, match=r"run must be of images for method=diffusion, got .* of codes, .* edit=noised"
    ):
        stylize(compose("stylize", [f"run={run.path}", "method=diffusion", "content=china.jpg", "style=flower.jpg"]))
    line = next(each for each in told.splitlines() if each.startswith("train on"))
    typed = [each for each in shlex.split(line.removeprefix("train on"))[2:] if not each.startswith("initial.run=")]
    short = ["training.max_images=8", "training.evaluate_every=8", "training.checkpoint_every=8", "metrics=none"]
    common = [each for each in tiny.COMMON if "evaluate.num" not in each]
    after = tiny.run([*typed, *common, *short, f"initial.run={run.path}"])
    before, now = (tiny.checkpoint(each)["state_dict"] for each in (run, after))
    assert before.keys() == now.keys()
    assert all(name.startswith("network.unet.") for name in now)
    assert 0 < max(float((before[name] - now[name]).abs().max()) for name in before) < 0.01


SCHEDULE, UNET = "scheduler/scheduler_config.json", "unet/config.json"


def _edited(name, **changed):
    path = Path("theirs") / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_without_the_extra_it_is_named(monkeypatch):
    stable_diffusion()
    for name in ("diffusers", "transformers"):
        monkeypatch.setattr("importlib.util.find_spec", lambda asked, lacks=name: None if asked == lacks else True)
        with pytest.raises(ValueError, match=f"folder needs the extra 'hub', which holds {name}: uv sync --extra hub"):
            imported()


def test_pipelines_that_say_more_than_is_carried_are_refused_by_name():
    stable_diffusion()
    whole = Path("theirs").resolve()
    with pytest.raises(ValueError, match="attended must hold a condition, for the network attends to texts, got none"):
        DiffusersUNet("theirs/unet", {})
    assert problems_of("train", ["model=diffusion", "model/network=diffusers_unet"]) == []
    shutil.copytree(whole, "kept")

    def refused(told, error=ValueError):
        with pytest.raises(error, match=told) as caught:
            imported()
        assert "\n" not in str(caught.value)
        shutil.rmtree(whole)
        shutil.copytree("kept", whole)

    for name, changed, told in (
        (
            "model_index.json",
            {"image_encoder": ["transformers", "CLIPVision"]},
            "of vae, .* got image_encoder",
        ),
        (
            "model_index.json",
            {"_class_name": "StableDiffusionXLPipeline"},
            "or StableDiffusionPipeline, got",
        ),
        (
            "scheduler/scheduler_config.json",
            {"_class_name": "EulerDiscreteScheduler"},
            "one of DDPMScheduler, .* got Euler",
        ),
        (SCHEDULE, {"use_karras_sigmas": True}, "with keys of these, got use_karras_sigmas"),
        (
            "scheduler/scheduler_config.json",
            {"rescale_betas_zero_snr": True},
            "rescale_betas_zero_snr of the scheduler must be",
        ),
        (
            "scheduler/scheduler_config.json",
            {"timestep_spacing": "trailing"},
            "set_alpha_to_one of the scheduler must be true",
        ),
        (SCHEDULE, {"clip_sample": True}, "sampler.clip: must be false for a model of codes"),
        (
            "unet/config.json",
            {"class_embed_type": "timestep"},
            "of a UNet that is told texts alone, got class_embed_type",
        ),
        (UNET, {"in_channels": 9}, "unet/config.json must be the 3 of codes, got 9"),
        (UNET, {"sample_size": "8"}, "sample_size"),
        (
            UNET,
            {"mid_block_type": None},
            "must hold the weights of its UNet2DConditionModel, .* mid_block.* unexpected",
        ),
        (
            "unet/config.json",
            {"cross_attention_dim": 24},
            "tokens of size 24 and no mask, got tokens of size 16",
        ),
        (UNET, {"layers_per_block": 2}, "must hold a UNet2DConditionModel that diffusers loads, got"),
        (UNET, {"act_fn": "sine"}, "must have settings that make a UNet2DConditionModel, got"),
        ("vae/config.json", {"latents_mean": [0.0]}, "latents_mean null"),
    ):
        _edited(name, **changed)
        refused(told)
    assert not list(Path("outputs").rglob("run.json"))
    weights = whole / "unet/diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    refused("without it, and .bin files are not read: they are pickles", FileNotFoundError)
    shutil.rmtree(whole / "text_encoder")
    refused("text_encoder")
