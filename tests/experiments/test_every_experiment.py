"""Every recipe under conf/experiment takes a training step and an evaluation, on tiny data of its own kind."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image

import tiny
from genexp.commands.validate import options
from genexp.config.compose import compose
from genexp.inference.importing.pipelines import OpenedFolder
from genexp.inference.importing.stable_diffusion import StableDiffusionPipelineFolder
from hub_folders import clip_text, stable_diffusion, tokenizer

EMBEDDED = {
    "digits",
    "shapes",
    "scenes",
    "several_sizes",
    "picture_embeddings",
    "toy2d",
    "stacked_digits",
    "content_style",
    "moving_shapes",
    "contrasts",
    "photographs",
}
ONE_STEP = [
    "trainer=cpu",
    "threads=1",
    "trainer.precision=32-true",
    "logger=none",
    "trainer.limit_val_batches=1",
    "data.eval_batch_size=4",
]


ONE_BATCH = [
    *("data.batch_size=4", "training.max_images=4", "training.evaluate_every=4", "sampler.steps=2"),
    *("callbacks.sample_grid.num=2", "callbacks.sample_grid.columns=null"),
]
TEACHERS = {
    "consistency/distilled_digits": "edm/digits",
    "lcm/digits": "lcm/teacher_digits",
    "lcm/shapes": "captions/attended",
    "lcm/shapes_captions": "ldm/shapes_captions",
    "progressive_distillation/digits": "v_prediction/digits",
}
BEFORE = {
    "rectified_flow/reflow": "rectified_flow/digits",
    "rectified_flow/reflow_ring8": "rectified_flow/ring8",
    "control_net/shapes": "captions/attended",
    "textual_inversion/shapes": "ldm/shapes_captions",
    "freeze_d/digits": "biggan/digits",
    "tiny_gan/digits": "biggan/digits",
}
BEGUN = [
    "data.num_classes=5",
    "data.batch_size=4",
    "training.max_images=4",
    "training.evaluate_every=8",
    "metrics=none",
]
AUTOENCODER = Path(__file__).parents[1] / "earlier_runs" / "vae"
IN_ORDER = (
    *("gated_pixelcnn/cifar10", "pixelcnn_pp/cifar10", "pixelsnail/mnist", "image_transformer/mnist"),
    *("dall_e/shapes", "dall_e/shapes_codes"),
)
"""Recipes that draw value after value of large images, tried on the smallest."""
QUICK = (
    "quickstart",
    "adain/offline",
    "dcgan/digits",
    "toy/diffusion_ring8",
    "vae/class_conditional",
    "wgan_gp/digits",
)
"""Recipes that are tried by default; the others are slow."""
NARROW = ("stylegan2/cifar10", "r3gan/cifar10", "pix2pix/facades", "cycle_gan/horse2zebra")
"""Recipes whose networks take a minute of a core for one step, tried with fewer feature maps."""
RECIPES = [pytest.param(each, marks=[] if each in QUICK else [pytest.mark.slow]) for each in options("experiment")]


@pytest.mark.parametrize("experiment", RECIPES)
def test_one_step(experiment, tmp_path, unasked):
    overrides = [f"experiment={experiment}", *ONE_STEP, f"paths.outputs={tmp_path}"]
    if experiment in IN_ORDER:
        few = ["data.source.train_images=960", "data.source.test_images=960"] if "shapes" in experiment else []
        overrides += ["data.image_size=8", "model.density.network.width=16", *few]
    config = compose("train", overrides)
    if "levels" in config.model.get("density", {}) and config.model.get("codec"):
        same = ["data=shapes", "data.image_size=8", *few] if "shapes" in experiment else []
        once = [each for each in ONE_BATCH if not each.startswith("sampler.")]
        tiny.run(["experiment=vq_vae/digits", *same, *ONE_STEP, *once, f"paths.outputs={tmp_path}/codes"])
        grid = ["model.density.image_shape=[1,4,4]"] if "shapes" in experiment else []
        overrides += [f"model.codec.run={tiny.newest(tmp_path / 'codes').path}", *grid]
    elif "trained" in (config.model.get("codec") or {}).get(
        "_target_", ""
    ):  # a stored autoencoder of digits, of three latents
        overrides += [f"model.codec.run={AUTOENCODER}", "model.network.shape=[3]"]
    if experiment == "captions/frozen":
        tokens = tokenizer(tmp_path / "tokens")
        clip_text(tmp_path / "encoder", len(tokens))
        overrides += [f"model.conditions.caption.folder={tmp_path}/tokens"]
        overrides += [f"model.network.attended.caption.folder={tmp_path}/encoder"]
    if experiment == "stable_diffusion/pipeline":
        stable_diffusion(tmp_path / "theirs")
        overrides += StableDiffusionPipelineFolder(OpenedFolder(str(tmp_path / "theirs"))).overrides()[1:5]
        overrides += ["data.image_size=16"]
    if "teacher" in (config.model.get("goal") or {}):
        tiny.run([f"experiment={TEACHERS[experiment]}", *ONE_STEP, *ONE_BATCH, f"paths.outputs={tmp_path}/teacher"])
        overrides += [f"model.goal.teacher.run={tiny.newest(tmp_path / 'teacher').path}"]
    if "guide" in config.sampler.get("guidance", {}):
        tiny.run(
            ["experiment=autoguidance/guide", *ONE_STEP, *ONE_BATCH, "metrics=none", f"paths.outputs={tmp_path}/guide"]
        )
        overrides += [f"sampler.guidance.guide.run={tiny.newest(tmp_path / 'guide').path}"]
    if config.model.get("teacher"):
        few = [f"{key}.width=8" for key in ("model.generator", "model.critic.discriminator")]
        few += ["data.batch_size=4", "training.max_images=4", "metrics=none", f"paths.outputs={tmp_path}/teacher"]
        folder = tiny.run([f"experiment={BEFORE[experiment]}", *ONE_STEP, *few])
        overrides += [f"model.teacher.run={folder.path}"]
    if config.get("initial"):
        few = ["data.classes=[0,1,2,3,4]", "model.generator.width=8", "model.critic.discriminator.width=8"]
        few = [*few, *BEGUN] if "generator" in config.model else [*ONE_BATCH, "metrics=none"]
        few = few[:4] + few[6:] if "toy2d" in source_name(config) else few  # whose recipes draw no grid
        few += ["data.eval_batch_size=1000"] if "toy2d" in source_name(config) else []
        folder = tiny.run([f"experiment={BEFORE[experiment]}", *ONE_STEP, *few, f"paths.outputs={tmp_path}/before"])
        overrides += [f"initial.run={folder.path}"]
        if config.model.get("pairs"):
            overrides += [f"model.pairs.flow.run={folder.path}", "model.pairs.pairs=20", "model.pairs.sampler.steps=2"]
    if source_name(config) == {"captioned_folder"}:
        new = ["data.source.captions.added={blob: circle}"] if "textual" in experiment else []
        texts = ["a small blob on white"] if new else ["a red-blue picture", "A picture, rather blue."]
        overrides += [*captioned(tmp_path / "captioned", texts), "extractor=random", *new]
    elif source_name(config) == {"paired_folder"}:
        overrides += [*side_by_side(tmp_path / "pairs"), "extractor=random"]
    elif source_name(config) == {"unpaired_folders"}:
        overrides += [*two_folders(tmp_path / "kinds"), "extractor=random", "data.image_size=32", "model.back.width=8"]
    elif not (source_name(config) & EMBEDDED):
        overrides += [*stand_in(config.data), "extractor=random"]
        config = compose("train", overrides)
    if source_name(config) == {"photographs"} and isinstance(config.data.source.photographs.root, str):
        overrides += ["data.source.photographs.root=china.jpg"]
    batch = min(4, config.data.batch_size)
    overrides += [f"data.batch_size={batch}", f"training.max_images={batch}", f"training.evaluate_every={batch}"]
    if experiment in ("glow/cifar10", "realnvp/cifar10"):
        overrides += ["model.density.transform.block.network.width=8", "model.density.transform.depth=2"]
    if experiment in NARROW:
        overrides += ["model.generator.width=32", "model.critic.discriminator.width=32"]
    if "ladder" in config.model:
        overrides += ["model.ladder.width=8", "model.ladder.latents=1"]
    if config.model.get("critic") and config.model.critic.discriminator.get("diversity"):
        overrides += [f"model.critic.discriminator.diversity.group_size={batch}"]
    if "toy2d" in source_name(config):
        overrides += ["data.eval_batch_size=1000"]  # the reference has 100,000 points
    if "features" in config.model:
        overrides += ["data.image_size=64"]
        overrides += ["model.pyramid=[0.5]"] if config.model.get("pyramid") else []  # a sixth of 64 pixels has no maps
        overrides += ["model.features.weights=random"] if "vgg.VGG" in config.model.features._target_ else []
    if config.callbacks.get("sample_grid") is not None:
        overrides += ["callbacks.sample_grid.num=2", "callbacks.sample_grid.columns=null"]
    if config.callbacks.get("evaluate") is not None:
        overrides += ["callbacks.evaluate.num=2"]
    if "depth" in config.model.get("generator", {}) and config.model.generator.depth > 1:
        overrides += ["model.generator.depth=2", "model.generator.width=8"]
    perceptual = (config.model.get("generator_penalties") or {}).get("perceptual")
    if perceptual and "vgg.VGG" in perceptual.features._target_:
        key = "model.generator_penalties.perceptual"
        overrides += [f"{key}.features.weights=random", f"{key}.features.last=relu1_1", f"{key}.layers=[relu1_1]"]
        overrides += ["data.image_size=64", "model.critic.discriminator.width=8"]
    if "residual_gan" in config.model.get("generator", {}).get("_target_", ""):
        overrides += ["model.generator.width=8", "model.critic.discriminator.width=8"]
    if "continuation" in config.metrics:  # it draws with a sampler of its own
        overrides += ["metrics.continuation.sampler.steps=1", "data.source.val_videos=16"]
    if "images" in config.sampler:  # latents that batch statistics are recomputed from
        overrides += ["sampler.images=4"]
    if "steps" in config.sampler:
        overrides += ["sampler.steps=2"]
    folder = tiny.run(overrides)
    state = tiny.checkpoint(folder)
    assert state["counters"]["batches"] == 1
    assert any(state["counters"]["steps"].values())  # one step more where a penalty is lazy
    assert all(torch.isfinite(v).all() for v in state["state_dict"].values() if v.is_floating_point())
    assert not unasked[-1]


@pytest.fixture
def unasked(monkeypatch):
    """Names of weights that train and had no gradient in the step of each training, at which several processes stop.

    Of models of one player: others take turns.
    """
    found, fit = [], Trainer.fit

    def watched(self, model, *args, **further):
        fit(self, model, *args, **further)
        moved = [optimizer.state for optimizer in self.optimizers]
        trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
        found.append([name for name, weight in trained if len(moved) == 1 and weight not in moved[0]])

    monkeypatch.setattr(Trainer, "fit", watched)
    return found


def stand_in(data):
    """Images that need no files, of the size and channels of those that do."""
    if data.channels == 1:
        return ["data=digits", f"data.image_size={data.image_size}"]
    few = ["data.source.train_images=960", "data.source.test_images=960"]
    return ["data=shapes", f"data.image_size={data.image_size}", f"data.channels={data.channels}", *few]


def two_folders(folder):
    """Two folders of pictures that do not belong together, as CycleGAN learns from; none of them flat."""
    for name, turn in (("horses", 0), ("zebras", 45)):
        (folder / name).mkdir(parents=True)
        for i in range(40):
            ramp = Image.linear_gradient("L").rotate(turn + i).resize((32, 32)).convert("RGB")
            ramp.save(folder / name / f"{i}.png")
    return [f"data.source.root={folder / 'zebras'}", f"data.source.source_root={folder / 'horses'}"]


def captioned(folder, texts):
    """A folder of pictures with texts beside them, in turn."""
    folder.mkdir()
    for i in range(6):
        Image.new("RGB", (20, 20), (40 * i, 0, 255)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(texts[i % len(texts)])
    return [f"data.source.root={folder}", "data.source.test_share=0.4"]


def side_by_side(folder):
    """A folder of files of two pictures each, as the published pairs of pix2pix are."""
    folder.mkdir()
    for i in range(7):
        Image.new("RGB", (64, 32), (40 * i, 0, 255)).save(folder / f"{i}.png")
    return [f"data.source.root={folder}"]


def source_name(config):
    return {config.data.source._target_.split(".")[2]}
