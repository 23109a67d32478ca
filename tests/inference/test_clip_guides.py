"""A run without captions drawn by captions: guided by a finished run of model=contrastive, and by the shipped one."""

import json
import sys

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import genexp
import tiny
from genexp.__main__ import main
from genexp.config.check import problems_of
from genexp.data.shapes import ShapeCaptions, Shapes
from genexp.diffusion.code_denoiser import CodeDenoiser
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Sample
from genexp.diffusion.schedules import Cosine
from genexp.diffusion.weighting import UniformEpsilon
from genexp.inference.shipped_codec import ShippedCodec
from genexp.inference.shipped_judge import ShippedJudge
from genexp.inference.trained import TrainedJudge
from genexp.sampling.clip_guidance import ClipGuidance

FEW = ["data.source.train_images=960", "threads=1", "trainer=cpu", "logger=none", "trainer.limit_val_batches=1"]


@torch.no_grad()
def test_the_shipped_judge_finds_the_caption_of_a_picture_among_others():
    judge, source = ShippedJudge("shapes_clip"), Shapes(32, captions=True)
    assert judge.conditioning.kinds["caption"].numbering == ShapeCaptions().numbering
    batch = source.split("test").read(torch.arange(64))
    image, caption = batch["image"].float() / 127.5 - 1, batch["caption"]
    own = judge.fit(image, caption)
    others = torch.stack([judge.fit(image, caption.roll(i, 0)) for i in range(1, 64)])
    assert (own > others.max(0).values).float().mean() > 0.85
    with pytest.raises(ValueError, match="asset must be of pictures and captions, got digits_classifier, a ConvClass"):
        ShippedJudge("digits_classifier")


def test_the_shipped_judge_guides_codes_of_the_shipped_first_stage():
    judge, codec = ShippedJudge("shapes_clip"), ShippedCodec("shapes_first_stage", [3, 64, 64])
    shrinking = lambda x, t, condition: 0.8 * x  # noqa: E731
    model = CodeDenoiser(NetworkDenoiser(shrinking, Cosine(), Sample(), UniformEpsilon(), (4, 16, 16)), codec)
    x_t, t = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([400, 700])
    told = {"caption": ShapeCaptions().read(["a large red circle", "a small blue cross"])}
    with torch.no_grad():
        plain, guided = model(x_t, t), ClipGuidance(judge, 0.01)(model)(x_t, t, told)
    fits = [judge.fit(F.avg_pool2d(model.codec.decode(each), 2), told["caption"]) for each in (plain, guided)]
    assert (fits[1] > fits[0]).all()
    assert not guided.requires_grad


def test_codes_get_a_gradient_where_they_ask_for_one():
    codec, code = ShippedCodec("shapes_first_stage", [3, 64, 64]), torch.randn(1, 4, 16, 16)
    assert not codec.decode(code).requires_grad
    for tile in (None, 32):
        codec.tile = tile
        asking = code.clone().requires_grad_()
        (slope,) = torch.autograd.grad(codec.decode(asking).sum(), asking)
        assert slope.abs().sum() > 0
        with torch.no_grad():
            assert not codec.decode(asking).requires_grad


@pytest.mark.slow  # two short trainings
def test_a_run_without_captions_is_drawn_by_captions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    judging = ["data.image_size=8", "data.batch_size=96", "training.max_images=192", "training.evaluate_every=192"]
    judge = tiny.run(["experiment=clip/shapes", "model.network.widths=[8,8]", *judging, *FEW, "paths.outputs=a"])
    small = ["model=diffusion", "data=shapes", "data.image_size=8", "data.num_classes=null", "model.network.width=8"]
    short = ["data.batch_size=8", "training.max_images=16", "training.evaluate_every=16", "sampler.steps=3"]
    common = [each for each in tiny.COMMON if "evaluate.num" not in each]
    run = tiny.run([*small, *short, *common, *FEW[:1], "metrics=none", "paths.outputs=b"])
    part = TrainedJudge(str(judge.path), "raw")
    image, caption = torch.rand(2, 3, 8, 8) * 2 - 1, ShapeCaptions().read(["a red circle", "a blue cross"])
    wanted = genexp.load_run(judge.path).model.similarity(image, caption).diagonal()
    torch.testing.assert_close(part.fit(image, caption), wanted)
    given = ["sampler/guidance=clip", f"sampler.guidance.judge.run={judge.path}"]

    def drawn(name, *typed):
        monkeypatch.setattr(
            sys, "argv", ["genexp", "sample", f"run={run.path}", "num=2", "seed=0", f"out={name}", *typed]
        )
        main()
        return Image.open(tmp_path / name / "images" / "000001.png").convert("RGB").tobytes()

    with pytest.raises(SystemExit):
        drawn("none", *given)
    assert "caption must be given (condition.caption=...) for guidance by it, got none" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    plain = drawn("plain")
    assert drawn("zero", *given, "sampler.guidance.scale=0", "caption=a red circle") == plain
    red, blue = (
        drawn(name, *given, "sampler.guidance.scale=20", f"caption=a {name} circle") for name in ("red", "blue")
    )
    assert len({plain, red, blue}) == 3
    record = json.loads((tmp_path / "red" / "sample.json").read_text())
    assert record["sampler"]["guidance"]["judge"]["digest"] == part.digest
    with pytest.raises(
        ValueError, match=r"run must be of pictures and captions .model=contrastive., got .* of Diffusion"
    ):
        TrainedJudge(str(run.path))
    wrong = problems_of(
        "train", ["model=diffusion", "data=shapes", "sampler/guidance=clip_shapes", "data.image_size=16"]
    )
    assert [
        line
        for line in wrong
        if "judge must be of images of shape (3, 16, 16), or of that with a whole part of the sides, got (3, 32, 32)"
        in line
    ]
