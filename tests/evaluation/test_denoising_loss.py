"""The loss by noise level: a closed form, what is told of it, and the files of both commands."""

import json
import math

import pytest
import torch
from torch import nn

import tiny
from genexp.commands.evaluate import evaluate
from genexp.config.compose import compose
from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Epsilon, Sample
from genexp.diffusion.schedules import Cosine
from genexp.diffusion.weighting import UniformEpsilon, UniformSample
from genexp.evaluation.metrics.denoising_loss import DenoisingLoss
from genexp.figures.curves import table_text
from genexp.tensors import expand_to

STD = 0.5
IMAGES = STD * torch.randn(300, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class ExactNoise(nn.Module):
    """The noise in x_t of Gaussian data."""

    num_classes, outputs = None, 1

    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule

    def forward(self, x_t, time, condition):
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(time.long() + 1))
        return sigma / (alpha**2 * STD**2 + sigma**2) * x_t


class Nothing(nn.Module):
    """Always the mean of the data."""

    def forward(self, x_t, time, condition):
        return torch.zeros_like(x_t)


def batches(size=100):
    groups = torch.arange(len(IMAGES)) % 20
    for image, group in zip(IMAGES.split(size), groups.split(size), strict=True):
        yield {"image": image, "group": group}


def gaussian():
    schedule = Cosine()
    return NetworkDenoiser(ExactNoise(schedule), schedule, Epsilon(), UniformEpsilon(), (1, 4, 4))


def test_the_curves_of_a_gaussian_are_its_closed_form():
    """s^2 sigma^2 / (alpha^2 s^2 + sigma^2) of the image, and SNR times that of the noise."""
    model = gaussian()
    found = DenoisingLoss(points=6).compute(model, batches(), seed=0)
    error, loss = (found[name].curve.columns for name in ("image_error", "denoising_loss"))
    assert error["time"] == [84, 251, 417, 584, 751, 917]
    for i, time in enumerate(error["time"]):
        alpha, sigma = (float(level) for level in model.schedule(torch.tensor([int(time)]), torch.float64))
        assert error["log_snr"][i] == pytest.approx(2 * math.log(alpha / sigma))
        exact = STD**2 * sigma**2 / (alpha**2 * STD**2 + sigma**2)
        assert error["image_error"][i] == pytest.approx(exact, abs=4 * error["standard_error"][i])
        assert loss["denoising_loss"][i] == pytest.approx((alpha / sigma) ** 2 * error["image_error"][i], rel=1e-3)
    for name, value in found.items():
        assert value.value == pytest.approx(sum(value.curve.columns[name]) / 6)
        assert len(value.draws) == 20


def test_values_depend_on_the_seed_and_the_image_alone():
    metric, model = DenoisingLoss(points=3), gaussian()
    one, other, again = (
        metric.compute(model, batches(size), seed)["image_error"].value for size, seed in ((100, 0), (30, 0), (100, 1))
    )
    assert one == pytest.approx(other, rel=1e-6)
    assert abs(one - again) > 1e-6


def test_levels_may_lie_evenly_in_log_snr_where_there_is_pure_noise_too():
    model = NetworkDenoiser(Nothing(), RectifiedFlow(), Sample(), UniformSample(), (1, 4, 4))
    columns = DenoisingLoss(points=4, along="log_snr").compute(model, batches(), 0)["image_error"].curve.columns
    gaps = torch.tensor(columns["log_snr"]).diff()
    torch.testing.assert_close(gaps, gaps[:1].expand(3), rtol=1e-5, atol=0)
    assert columns["image_error"] == pytest.approx([float(IMAGES.square().mean())] * 4, rel=1e-5)


def test_what_is_trained_otherwise_is_told_apart():
    metric, schedule = DenoisingLoss(), Cosine()
    other = NetworkDenoiser(Nothing(), schedule, Sample(), UniformSample(), (1, 4, 4))
    assert "UniformEpsilon" in metric.subject(gaussian())
    assert metric.subject(gaussian()) != metric.subject(other)
    with pytest.raises(TypeError, match="DenoisingLoss measures a DenoiserWithLoss, got Linear"):
        metric.require(nn.Linear(1, 1))
    with pytest.raises(ValueError, match="points must be at least 2 noise levels, got 1"):
        DenoisingLoss(points=1)
    with pytest.raises(ValueError, match="along must be time or log_snr, got 'sigma'"):
        DenoisingLoss(along="sigma")


def test_a_table_has_a_line_a_level():
    assert table_text({"time": [1, 2], "loss": [0.5, 1 / 3]}) == "time,loss\n1,0.5\n2,0.333333333\n"


@pytest.mark.slow
def test_training_draws_the_curve_and_evaluate_writes_table_and_picture(tmp_path):
    short = ["training.max_images=64", "training.evaluate_every=64", "callbacks.sample_grid.num=2"]
    typed = ["metrics=denoising_loss", "metrics.denoising_loss.points=3", f"paths.outputs={tmp_path}"]
    folder = tiny.run([*tiny.overrides_for("diffusion"), *short, *typed, "training.monitor=denoising_loss"])
    assert (folder.samples / "denoising_loss_0000000064.png").is_file()
    asked = ["metrics=denoising_loss", "metrics.denoising_loss.points=3", "metrics.denoising_loss.split=train"]
    evaluate(compose("evaluate", [f"run={folder.path}", f"out={tmp_path / 'out'}", *asked]))
    out = tmp_path / "out/averaged"
    assert {path.name for path in out.iterdir()} >= {f"{n}.{e}" for n in DenoisingLoss.values for e in ("csv", "png")}
    recorded = json.loads((out / "metrics.json").read_text())["values"]["denoising_loss"]["curve"]
    assert (out / "denoising_loss.csv").read_text() == table_text(recorded)
    rows = [json.loads(line) for line in (folder.path / "evaluations.jsonl").read_text().splitlines()]
    assert [len(row["curve"]["time"]) for row in rows] == [3] * 4
