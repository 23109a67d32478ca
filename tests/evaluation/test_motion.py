"""Motion errors of videos whose motion is known, and features of neighbouring frames."""

import pytest
import torch

from genexp.data.moving_shapes import MovingShapes
from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.frame_pairs import FramePairs
from genexp.evaluation.extractors.motion import Motion, centres
from genexp.evaluation.extractors.untrained import RandomFeatures
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.evaluation.metrics.motion import MotionError, wasserstein
from genexp.tensors import to_float


def drawn(centre, side=3.0, size=24, level=1.0):
    """Videos (1, T, 1, size, size) of a soft square at centres (T, 2)."""
    pixel = torch.arange(size) + 0.5
    across, down = ((pixel - centre[:, axis, None]).abs() for axis in (0, 1))
    cover = [(torch.as_tensor(side).reshape(-1, 1) + 0.5 - each).clamp(0, 1) for each in (across, down)]
    return (cover[1][:, :, None] * cover[0][:, None, :] * level)[None, :, None] * 2 - 1


def line(frames=6, velocity=(1.25, -0.5), start=(7.0, 14.0)):
    return torch.tensor(start) + torch.arange(frames)[:, None] * torch.tensor(velocity)


def told(video):
    return dict(zip(Motion.names, Motion()(video)[0].tolist(), strict=True))


def test_centres_and_speed_of_known_motion_are_found():
    path = line()
    torch.testing.assert_close(centres(drawn(path))[0].float(), path, atol=0.02, rtol=0)
    found = told(drawn(path))
    assert found["speed"] == pytest.approx((1.25**2 + 0.5**2) ** 0.5, abs=0.01)
    assert max(found[name] for name in ("error", "jerk", "bend")) < 0.02
    assert max(found[name] for name in ("size", "brightness", "shape")) < 0.05


def test_uneven_speed_and_a_bend_are_told_apart():
    swing = torch.tensor([0.6, -0.6, 0.0, 0.0, -0.6, 0.6])  # orthogonal to a constant and to time
    rms = float(swing.square().mean().sqrt())
    ahead = torch.stack([swing, 0 * swing], 1)
    uneven, bent = (told(drawn(line(velocity=(1.5, 0.0)) + each)) for each in (ahead, ahead.flip(1)))
    assert (uneven["jerk"], uneven["bend"]) == pytest.approx((rms, 0), abs=0.02)
    assert (bent["jerk"], bent["bend"]) == pytest.approx((0, rms), abs=0.02)
    assert uneven["error"] == pytest.approx(rms, abs=0.02)


def test_changes_of_size_brightness_and_shape_are_shares_of_themselves():
    path = line(frames=4)
    sides = torch.tensor([2.0, 2.0, 4.0, 4.0])
    assert told(drawn(path, sides))["size"] == pytest.approx(1 / 3, abs=0.02)
    dimmed = drawn(path)
    dimmed[:, 2:] = (dimmed[:, 2:] + 1) / 2 - 1
    assert told(dimmed)["brightness"] == pytest.approx(0.25 / 0.75, abs=0.02)
    bar = drawn(torch.full((2, 2), 12.0))
    bar[0, 1, 0] = -1
    bar[0, 1, 0, 10:14, 8:16] = 1  # 4 x 8 beside 6 x 6: 12 w h / ((w^2 + h^2) / 2) = 9.6 beside 12
    assert told(bar)["shape"] == pytest.approx(1.2 / 10.8, abs=0.02)


def test_an_empty_frame_has_its_centre_in_the_middle():
    video = drawn(line())
    video[:, 0] = -1
    assert centres(video)[0, 0].tolist() == pytest.approx([12, 12], abs=1e-3)
    assert told(video)["error"] > 1
    assert torch.isfinite(Motion()(torch.full((2, 4, 1, 8, 8), -1.0))).all()


def test_the_distance_of_speeds_is_that_of_sorted_numbers():
    a, b = torch.rand(7).double().sort().values, torch.rand(7).double().sort().values
    assert wasserstein(a, b) == pytest.approx(float((a - b).abs().mean()))
    assert wasserstein(a, a + 0.3) == pytest.approx(0.3)
    assert wasserstein(a, torch.cat([a, a]).sort().values) == pytest.approx(0, abs=1e-12)


def videos(split, frames=8, change=None):
    source = MovingShapes(frames=frames, train_videos=1024, test_videos=256, slowest=0.3, fastest=0.9)
    video = to_float(source.split(split).read(torch.arange(source.counts[split]))["image"])
    video = video if change is None else change(video)
    return ImageSet(split, f"{split}", len(video), tuple(video.shape[1:]), lambda: iter([{"image": video}]))


def shuffled(video):
    return video[:, torch.tensor([3, 0, 6, 1, 5, 2, 7, 4])]


def scores(change):
    pairs = FramePairs(RandomFeatures, 1)
    evaluator = Evaluator(pairs, {"fd": FrechetDistance(), "motion": MotionError(Motion())})
    reference = evaluator.reference(videos("train"), 256)
    return {
        key.split("/")[0]: score for key, score in evaluator.floor(videos("test", change=change), reference).items()
    }


def test_frames_out_of_order_are_seen_and_real_videos_are_near_nothing():
    real, mixed, still = (scores(each) for each in (None, shuffled, lambda video: video[:, :1].expand_as(video)))
    assert set(real) == {"fd", *MotionError.values}
    assert real["motion_error"].value.value < 0.1
    assert mixed["motion_error"].value.value > 5 * real["motion_error"].value.value
    assert mixed["fd"].value.value > 5 * real["fd"].value.value
    assert still["motion_error"].value.value < 0.01
    assert still["motion_speeds"].value.value == pytest.approx(0.6, abs=0.1)
    assert real["motion_speeds"].value.value < 0.05
    assert real["motion_error"].value.unit == "pixels"
    assert real["motion_error"].value.draws


def test_pairs_have_as_many_features_for_any_length_and_one_way_of_time():
    pairs = FramePairs(RandomFeatures, 1)
    video = torch.rand(3, 5, 1, 8, 8) * 2 - 1
    assert pairs(video).shape == pairs(video[:, :2]).shape == (3, pairs.dimensions)
    one = torch.cat([video[:, 0], video[:, 1]], 1)
    torch.testing.assert_close(pairs(video[:, :2])[:, : pairs.dimensions // 2], pairs.extractor(one))
    assert (pairs(video.flip(1)) - pairs(video)).abs().max() > 1e-3
    with pytest.raises(ValueError, match="image must be videos of at least 2 frames"):
        pairs(video[:, :1])
    with pytest.raises(ValueError, match="MotionError needs the extractor Motion, got FramePairs"):
        MotionError(Motion()).prepare(None, pairs)
