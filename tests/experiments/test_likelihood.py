"""A density from the command line: trained, measured in bits, drawn from; and a VAE's bound by the same metric."""

import io
import json
import math
from contextlib import redirect_stdout

import numpy as np
import pytest
from PIL import Image

import tiny
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.runs.evaluations import EVALUATE, read_evaluations
from genexp.runs.run_folder import RunFolder

PIXELCNN = [
    "experiment=pixelcnn/digits",
    "model.density.network.width=4",
    "model.density.network.depth=1",
    *tiny.COMMON,
    *tiny.LENGTH,
    "data.limit=100",
    "model.num_classes=10",
]


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """The run, and what it said when it ended."""
    with redirect_stdout(io.StringIO()) as said:
        return tiny.run([*PIXELCNN, f"paths.outputs={tmp_path_factory.mktemp('density')}"]), said


@pytest.fixture(scope="module")
def trained(training):
    return training[0]


def test_the_closing_line_suggests_what_the_model_is_measured_by(training):
    (line,) = [line for line in training[1].getvalue().splitlines() if line.startswith("measure ")]
    assert line.endswith(" metrics=likelihood")


def test_training_measures_bits_and_judges_by_the_likelihood(trained):
    rows = [row for row in trained.history() if "bits_per_dim" in row]
    assert rows[0]["bits_per_dim"] < math.log2(17)
    assert rows[-1]["bits_per_dim"] < rows[0]["bits_per_dim"]
    assert rows[-1]["nll"] == pytest.approx(rows[-1]["bits_per_dim"] * 64 * math.log(2), rel=1e-6)
    assert trained.best["metric"] == "nll"
    assert any(key.startswith("fd/") for key in rows[0])
    protocol = tiny.checkpoint(trained)["callbacks"]["Evaluate"]["protocols"]["nll"]
    assert protocol["settings"] == "LogLikelihood(split='val'): 17 levels, exact"


def test_genexp_evaluate_prints_bits_a_dimension_and_draws_nothing_for_them(trained, capsys):
    options = [f"run={trained.path}", "metrics=likelihood", "weights=[averaged,raw]", "wandb=false", "threads=1"]
    evaluate(compose("evaluate", [*options, "checkpoint=last"]))
    shown = capsys.readouterr().out
    assert "the model on 200 of val" in shown
    assert "minus" in shown  # the paired test over the same images
    (line,) = [line for line in shown.splitlines() if line.startswith("bits_per_dim") and "lower" in line][:1]
    stored = [row for row in read_evaluations(RunFolder(trained.path)) if row["source"] == EVALUATE]
    bits = next(row for row in stored if row["key"] == "bits_per_dim" and row["protocol"]["weights"] == "averaged")
    assert line.split()[1:3] == [f"{bits['value']:.4g}", "bits"]
    assert (bits["unit"], bits["better"]) == ("bits", "lower")
    assert bits["low"] < bits["value"] < bits["high"]
    measured = [row["bits_per_dim"] for row in trained.history() if "bits_per_dim" in row]
    assert bits["value"] == pytest.approx(measured[-1], rel=1e-6)
    assert not (trained.path / "evaluations" / "images").exists()


def test_a_metric_of_the_model_stands_beside_those_of_its_images(trained, capsys):
    options = [f"run={trained.path}", "num=20", "grid=0", "pictures=0", "wandb=false", "threads=1"]
    evaluate(compose("evaluate", [*options, "metrics=[fd,likelihood]", "metrics.likelihood.split=test"]))
    shown = capsys.readouterr().out
    assert "20 images against 1,197 of train" in shown
    assert "bits_per_dim" in shown
    with pytest.raises(ValueError, match="metrics must compare images where run is null, got likelihood"):
        evaluate(compose("evaluate", ["generated=digits:test", "reference=digits", "metrics=[fd,likelihood]"]))
    with pytest.raises(ValueError, match="autoencoding must fit the model of the run: Autoencoding measures a Recon"):
        evaluate(compose("evaluate", [*options, "metrics=autoencoding"]))


def test_genexp_sample_draws_pictures_and_interpolates_noises(trained, tmp_path):
    overrides = [f"run={trained.path}", "num=20", "rows=1", "interpolate=3", "threads=1", f"out={tmp_path / 'drawn'}"]
    sample(compose("sample", [*overrides, "+sheet.temperature=[0.5,1]"]))
    made = {path.name for path in (tmp_path / "drawn").iterdir()}
    assert made == {"grid.png", "interpolation.png", "sheet.png", "images", "sample.json"}
    assert json.loads((tmp_path / "drawn/sample.json").read_text())["sampler"]["temperature"] == 1.0
    assert len(list((tmp_path / "drawn/images").glob("*.png"))) == 20


def test_the_bound_of_a_vae_and_its_reconstructions_are_measured_by_metrics_of_a_model(tmp_path):
    metrics = ["metrics=[likelihood,autoencoding]", "training.monitor=autoencoding_psnr"]
    folder = tiny.run([*tiny.overrides_for("vae"), *metrics, f"paths.outputs={tmp_path}"])
    assert folder.best["metric"] == "autoencoding_psnr"
    last = {key: value for row in folder.history() for key, value in row.items()}
    assert "bits_per_dim" not in last  # a density over grey values
    assert last["nll"] == pytest.approx(-last["val/elbo"], abs=15)  # other noise
    assert 0 < last["autoencoding_mse"] < 4


@pytest.fixture
def pictures(tmp_path):
    """Two pictures, a mask that keeps the upper half of each, and one that keeps the lower."""
    numbers = np.random.default_rng(0)
    for i in range(2):
        Image.fromarray(numbers.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    half = np.zeros((8, 8), dtype=np.uint8)
    half[:4] = 255
    (tmp_path / "masks").mkdir()
    for name, mask in {"upper": half, "lower": 255 - half}.items():
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path


def levels_of(picture):
    return np.round(np.asarray(Image.open(picture)) / 255 * 16)


def test_pictures_are_completed_and_what_is_kept_stays_at_its_level(trained, pictures, capsys):
    (pictures / "given").mkdir()
    for i in range(2):
        (pictures / f"{i}.png").rename(pictures / "given" / f"{i}.png")
    edit = ["edit=completed", f"images={pictures / 'given'}", "threads=1", "num=4", f"run={trained.path}", "label=3"]
    sample(compose("sample", [*edit, f"mask={pictures / 'masks/upper.png'}", f"out={pictures / 'a'}"]))
    assert "after drawn ones" not in capsys.readouterr().err
    made = {path.name for path in (pictures / "a").iterdir()}
    assert made == {"grid.png", "edited.png", "images", "sample.json"}
    drawn = [levels_of(path) for path in sorted((pictures / "a/images").glob("*.png"))]
    given = [levels_of(pictures / "given" / f"{i % 2}.png") for i in range(4)]
    assert all((found[:4] == kept[:4]).all() for found, kept in zip(drawn, given, strict=True))
    assert (drawn[0][4:] != drawn[2][4:]).any()
    assert json.loads((pictures / "a/sample.json").read_text())["evaluations"] == 32
    sample(compose("sample", [*edit, f"mask={pictures / 'masks/lower.png'}", f"out={pictures / 'b'}"]))
    assert (
        "kept        32 pixels after drawn ones, which do not see them: rows go from the top" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["edit=completed"], "mask must name a picture that is white where images are kept, got null"),
        (["edit=noised"], "edit must be completed for Ancestral, got Noised"),
    ],
)
def test_edits_that_do_not_fit_an_autoregressive_model_are_refused(trained, pictures, words, told):
    given = [f"run={trained.path}", "threads=1", "num=2", f"images={pictures / '0.png'}", f"out={pictures / 'a'}"]
    with pytest.raises(ValueError, match=told):
        sample(compose("sample", [*given, *words]))


def test_training_shows_completions_of_held_out_images(trained):
    assert list((trained.path / "samples").glob("*completion*.png"))


NETWORKS = {
    "gated_pixelcnn/digits": ["width=4", "depth=2"],
    "gated_pixelcnn/digits model/density/network=image_transformer": ["width=16", "depth=1", "positions=rotary"],
    "pixelcnn_pp/digits": ["width=4", "depth=1"],
    "pixelsnail/digits": ["width=8", "depth=1", "blocks=1"],
    "made/digits": ["width=32", "depth=1"],
}


QUICK = [each for each in NETWORKS if "gated" in each]


@pytest.mark.parametrize(
    "recipe", [pytest.param(each, marks=[] if each in QUICK else [pytest.mark.slow]) for each in NETWORKS]
)
def test_every_kind_of_network_learns_from_the_first_batches(recipe, tmp_path):
    sizes = [f"model.density.network.{size}" for size in NETWORKS[recipe]]
    short = [*tiny.COMMON, *tiny.LENGTH, "data.limit=100", "metrics=likelihood", "callbacks.sample_grid.num=1"]
    folder = tiny.run([*f"experiment={recipe}".split(), *sizes, *short, f"paths.outputs={tmp_path}"])
    bits = [row["bits_per_dim"] for row in folder.history() if "bits_per_dim" in row]
    assert bits[-1] < bits[0]


def test_an_autoencoder_without_a_density_is_refused_its_likelihood_before_training():
    for metric in ("likelihood", "importance_likelihood", "rate_distortion"):
        told = problems_of("train", ["experiment=rae/digits", f"metrics={metric}", "trainer=cpu", "logger=none"])
        (line,) = [each for each in told if each.startswith(f"metrics.{metric}")]
        assert "must fit the model" in line
        assert "model.posterior=Deterministic, a single latent an image" in line


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (
            "experiment=iwae/digits model.bound.samples=0",
            "model.bound.samples: must be at least 1 latent an image, got 0",
        ),
        ("model=vae model/bound=regularised", "model.posterior: must be deterministic for bound Regularised"),
        ("model=vae model/posterior=deterministic", "model.posterior: must be random for model.bound=Elbo"),
        ("experiment=iwae/digits model.free_bits=0.1", "model.free_bits: must be null with bound ImportanceWeighted"),
        ("experiment=wae/digits training.accumulate=2", "training.accumulate: must be 1 with model/bound=mmd"),
        ("experiment=vae/digits sampler.truncation=-1", "sampler.truncation: must be positive or null"),
    ],
)
def test_parts_of_an_autoencoder_that_do_not_go_together_are_refused_at_their_keys(typed, told):
    found = problems_of("train", [*typed.split(), "trainer=cpu", "logger=none"])
    assert any(line.startswith(told) for line in found), found
