"""Diffusion of videos from the command line: trained, logged, drawn to GIFs, measured, and touching nothing else."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageSequence
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

import tiny
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.evaluation.extractors.frame_features import FrameFeatures
from genexp.evaluation.extractors.untrained import RandomFeatures
from genexp.runs.evaluations import EVALUATE, read_evaluations
from genexp.runs.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
VIDEO = [
    "experiment=video/moving_shapes",
    "model.network.width=8",
    "data.source.image_size=8",
    "data.source.frames=2",
    *("sampler.steps=2", "sampler.eta=0"),
    *(each for each in tiny.COMMON if not each.startswith("logger=")),
    "logger=[wandb,tensorboard]",
    *tiny.LENGTH,
    "data.limit=100",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return tiny.run([*VIDEO, f"paths.outputs={tmp_path_factory.mktemp('video')}"])


def test_videos_are_drawn_to_gifs_with_grid_arc_and_strip(trained, tmp_path):
    options = ["num=3", "rows=1", "interpolate=2", "frames=2", "threads=1", f"out={tmp_path / 'drawn'}"]
    sample(compose("sample", [f"run={trained.path}", *options]))
    made = {path.name for path in (tmp_path / "drawn").iterdir()}
    pictures = {f"{name}.{kind}" for name in ("grid", "interpolation", "denoising") for kind in ("png", "gif")}
    assert made == {*pictures, "videos", "sample.json"}
    with Image.open(tmp_path / "drawn/grid.gif") as gif:
        assert (gif.n_frames, gif.size) == (2, (2 * 34 + 2, 2 * 34 + 2))
    videos = sorted((tmp_path / "drawn/videos").iterdir())
    assert [path.name for path in videos] == ["000000.gif", "000001.gif", "000002.gif"]
    with Image.open(videos[0]) as gif:
        frames = [frame.copy() for frame in ImageSequence.Iterator(gif)]
    assert [frame.size for frame in frames] == [(8, 8)] * 2
    assert frames[0].convert("L").tobytes() != frames[1].convert("L").tobytes()


def test_training_shows_videos_that_move(trained):
    drawn = sorted(trained.samples.glob("samples_*.png"))
    assert drawn
    for each in drawn:
        with Image.open(each.with_suffix(".gif")) as gif:
            assert gif.n_frames == 2
    media = trained.path.glob("wandb/offline-run-*/files/media")
    moving = [path for folder in media for path in folder.rglob("*.gif")]
    assert len(moving) == len(drawn)
    assert all(path.parts[-2] == "videos" for path in moving)
    (events,) = (trained.path / "tensorboard").rglob("events.out.tfevents.*")
    tags = {value.tag for event in EventFileLoader(str(events)).Load() for value in event.summary.value}
    assert {"samples", "samples_moving"} <= tags


def test_videos_are_measured_by_the_features_of_their_frames(trained, capsys):
    measured = [key for row in trained.history() for key in row if key.startswith("fd/random@")]
    assert measured
    options = ["num=20", "grid=4", "wandb=false", "threads=1", "metrics=[fd,kid]"]
    evaluate(compose("evaluate", [f"run={trained.path}", *options]))
    assert "20 images against 4,096 of train" in capsys.readouterr().out
    stored = [row for row in read_evaluations(RunFolder(trained.path)) if row["source"] == EVALUATE]
    assert {row["key"] for row in stored} == {measured[0], measured[0].replace("fd", "kid")}
    assert {row["protocol"]["quantiser"] for row in stored} == {"uint8"}


def test_frames_are_seen_one_by_one():
    seen = FrameFeatures(RandomFeatures(1, width=4), 2)
    video = torch.rand(3, 2, 1, 8, 8) * 2 - 1
    torch.testing.assert_close(seen(video), torch.cat([seen.extractor(video[:, t]) for t in (0, 1)], dim=1))
    assert seen(video).shape == (3, seen.dimensions)
    assert FrameFeatures(RandomFeatures(1, width=4), 3).digest != seen.digest != seen.extractor.digest
    with pytest.raises(ValueError, match=r"image must be videos of 2 frames, .* got shape \(1, 8, 8\)"):
        seen(video[:, 0])


def test_a_run_of_videos_is_drawn_from_in_python(trained):
    import genexp

    drawn = genexp.load_run(trained.path).samples(2)
    assert drawn.shape == (2, 2, 1, 8, 8)
    assert torch.isfinite(drawn).all()


EXTENSIONS = {
    "MovingShapes|moving_shapes|StackedFrames|unet_frames|FrameFeatures": (
        *("data/moving_shapes", "networks/frames", "evaluation/extractors/frame_features"),
        *("extractor/frames", "model/network/unet_frames", "experiment/video/moving_shapes"),
        "ablation/video_attention",
    ),
    "PixelCNN|pixelcnn": (
        "networks/pixelcnn",
        *("model/density/network/pixelcnn", "model/density/autoregressive", "experiment/pixelcnn/digits"),
        *("ablation/autoregressive_networks", "ablation/vq_codes"),
    ),
    "Ancestral": ("sampling/ancestral", "sampler/ancestral", "model/likelihood"),
    "AutoregressiveCategorical": ("densities/autoregressive", "model/density/autoregressive"),
    "RelativisticPaired|RelativisticAverage": (
        "adversarial/pairings",
        *("model/critic/objective/pairing/relativistic_paired", "model/critic/objective/pairing/relativistic_average"),
    ),
    "LogLikelihood|Autoencoding": (
        *("evaluation/metrics/likelihood", "evaluation/metrics/autoencoding"),
        *("metrics/likelihood", "metrics/autoencoding", "ablation/vae_blur"),
    ),
}
"""Words of an extension, and the files in which alone they may stand."""


@pytest.mark.parametrize("words", EXTENSIONS)
def test_an_extension_lives_in_its_own_files_alone(words):
    """The files of a part, a data set or a metric: what is built in names none of them."""
    roots = {ROOT / "src/genexp": "*.py", ROOT / "conf": "*.yaml"}
    found = {
        str(path.relative_to(root).with_suffix(""))
        for root, pattern in roots.items()
        for path in root.rglob(pattern)
        if re.search(
            rf"(?<![\w./])(?:genexp\.(?:\w+\.)*)?(?:{words})\b",
            re.sub(r"#.*|\"\"\"(?s:.*?)\"\"\"", "", path.read_text()),
        )
    }
    assert found
    assert found <= set(EXTENSIONS[words])
