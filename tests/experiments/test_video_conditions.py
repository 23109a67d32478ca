"""Videos that go on from given frames: told to a model, or kept by an edit; and their measured continuation."""

import pytest
import torch
from PIL import Image, ImageSequence

import tiny
from genexp.commands.sample import sample
from genexp.conditioning.degraded import Degraded
from genexp.conditioning.first_frames import FirstFrames
from genexp.config.compose import compose
from genexp.evaluation.metrics.continuation import Continuation
from genexp.networks.dit_video import VideoDiT
from genexp.networks.unet_video import VideoUNet
from genexp.runs.evaluations import read_evaluations
from genexp.runs.run_folder import RunFolder
from genexp.sampling.continued import Continued

VIDEO = [
    "experiment=video/first_frames",
    *("data.source.image_size=8", "data.source.frames=4", "model.network.width=16", "sampler.steps=6"),
    *("metrics.continuation.sampler.steps=2", "data.num_classes=2", "model.num_classes=2"),
    *tiny.COMMON,
    *("data.batch_size=32", "training.max_images=64", "training.evaluate_every=64", "data.limit=100"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return tiny.run([*VIDEO, f"paths.outputs={tmp_path_factory.mktemp('first')}"])


def gif(path, levels=(0, 80, 160, 240)):
    """A GIF of flat frames."""
    frames = [Image.new("L", (16, 16), level) for level in levels]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def frames_of(path):
    with Image.open(path) as picture:
        return [frame.convert("L").getpixel((0, 0)) for frame in ImageSequence.Iterator(picture)]


def draw(run, folder, *options):
    sample(compose("sample", [f"run={run.path}", "num=2", "threads=1", f"out={folder}", *options]))
    return {path.name for path in folder.iterdir()}


def test_first_frames_are_told_by_a_gif_and_shown_beside_what_is_drawn(trained, tmp_path, capsys):
    clip = gif(tmp_path / "clip.gif")
    made = draw(trained, tmp_path / "drawn", f"+condition.first_frames={clip}", "label=1")
    assert {"grid.gif", "pairs.png", "pairs.gif", "videos"} <= made
    assert f"first_frames 1 beginning of {clip}, 8 x 8" in capsys.readouterr().err
    import genexp

    told = torch.tensor([0, 80]).view(1, 2, 1, 1, 1).expand(1, 2, 1, 8, 8) / 127.5 - 1
    again = genexp.load_run(trained.path).samples(2, label=1, first_frames=told)
    with Image.open(tmp_path / "drawn/videos/000001.gif") as picture:
        assert picture.n_frames in (3, 4)  # GIF joins equal frames
    assert again.shape == (2, 4, 1, 8, 8)
    Image.new("L", (16, 16)).save(tmp_path / "one.png")
    with pytest.raises(ValueError, match=r"condition.first_frames must have 2 to 2000 frames, got 1 in .*one.png"):
        draw(trained, tmp_path / "no", f"+condition.first_frames={tmp_path / 'one.png'}")


def test_training_measures_the_continuation_of_held_out_videos_and_shows_it(trained):
    found = {row["key"]: row for row in read_evaluations(RunFolder(trained.path))}
    assert set(Continuation.values) <= set(found)
    assert found["continuation_error"]["unit"] == "pixels"
    assert found["continuation_error"]["details"]["still"] > 0.3
    assert found["continuation_error"]["details"]["onward"] < 0.2
    assert list(trained.samples.glob("pairs_*.gif"))


def test_an_edit_keeps_the_last_frames_exactly_and_draws_others(trained, tmp_path, capsys):
    clip = gif(tmp_path / "clip.gif")
    options = [f"images={clip}", "edit=continued", "edit.jump_length=2", "edit.resamplings=2", "num=3"]
    made = draw(trained, tmp_path / "drawn", *options)
    assert {"edited.png", "edited.gif", "grid.gif", "videos"} <= made
    assert "given       2 last frames of 1 file" in capsys.readouterr().err
    for each in (tmp_path / "drawn/videos").iterdir():
        assert frames_of(each)[:2] == pytest.approx([160, 240], abs=2)
    for options, told in (
        (["edit=continued", "edit.frames=4"], "frames must be below the 4 frames of a video, got 4"),
        (
            ["edit=noised"],
            r"run must be of square images of 1 or 3 channels to take pictures, got shape \[4, 1, 8, 8\]",
        ),
    ):
        with pytest.raises(ValueError, match=told):
            draw(trained, tmp_path / "no", f"images={clip}", *options)


def test_known_frames_are_those_given():
    given = torch.rand(2, 1, 3, 4, 4)
    videos, known = Continued(frames=1).begun(given, 3)
    assert videos.shape == (2, 3, 3, 4, 4)
    assert torch.equal(videos[:, 0], given[:, 0])
    assert known.flatten().tolist() == [True, False, False]


NETWORKS = {
    "unet": lambda **more: VideoUNet(1, 8, 8, groups=2, **more),
    "tubes": lambda **more: VideoDiT(1, 8, patch_frames=2, width=16, depth=1, **more),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_networks_see_first_frames_as_channels_and_where_there_are_any(name, noise):
    kind = Degraded((4, 1, 8, 8), FirstFrames(2), noise=noise)
    video, time = torch.rand(3, 4, 1, 8, 8) * 2 - 1, torch.ones(3)
    network = NETWORKS[name](beside={"first_frames": kind})
    assert network.reads == ("first_frames",)
    rows = kind.in_training(kind.made(video))
    assert network(video, time, {"first_frames": rows}).shape == video.shape
    seen = network.seen(video, {"first_frames": rows})
    assert seen.shape[2] == 1 + 1 + (noise > 0) + 1
    assert torch.equal(seen[:, :2, 1], rows[:, :, 0])
    assert seen[:, :, -1].mean((2, 3)).tolist() == [[1, 1, 0, 0]] * 3
    assert (seen[:, 2:, 1:] == 0).all()


def test_frames_that_are_none_are_refused():
    with pytest.raises(ValueError, match="frames must be at least 1, got 0"):
        FirstFrames(0)
    with pytest.raises(ValueError, match=r"frames must be fewer than those of a video .*, got 4 of \[4, 1, 8, 8\]"):
        Degraded((4, 1, 8, 8), FirstFrames(4))
