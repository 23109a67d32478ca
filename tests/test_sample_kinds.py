"""What depends on the kind of a sample."""

import pytest
import torch

from genexp.sample_kinds import SampleKind, kind_of, require_images, require_videos


def test_a_shape_says_what_a_sample_is():
    assert [kind_of(shape) for shape in ((2,), (3, 8, 8), (2, 1, 8, 8))] == list(SampleKind)
    with pytest.raises(
        ValueError, match=r"shape must be \(D,\) of a point, .* or \(T, C, H, W\) of a video, got \(8, 8\)"
    ):
        kind_of((8, 8))


@pytest.mark.parametrize("shape", [(2,), (1, 4, 4), (3, 1, 4, 4)])
def test_files_hold_256_levels_of_pictures_and_points_as_they_are(shape):
    kind, samples = kind_of(shape), torch.rand(5, *shape) * 2 - 1
    stored, again = kind.stored(samples), kind.quantised(samples)
    if kind is SampleKind.POINTS:
        assert (kind.quantiser, kind.pictured) == ("none", False)
        assert torch.equal(stored, samples)
        assert torch.equal(again, samples)
        return
    assert (kind.quantiser, kind.pictured, stored.dtype) == ("uint8", True, torch.uint8)
    torch.testing.assert_close(again, samples, atol=1 / 255 + 1e-6, rtol=0)
    assert torch.equal(kind.quantised(again), again)


def test_frames_stand_beside_each_other_with_a_white_line_between_them():
    video = torch.rand(2, 3, 1, 4, 5) * 2 - 1
    tile = SampleKind.VIDEO.tiles(video)
    assert tile.shape == (2, 1, 4, 3 * 5 + 2)
    assert torch.equal(tile[..., 6:11], video[:, 1])
    assert (tile[..., [5, 11]] == 1).all()
    images = torch.rand(2, 1, 4, 4)
    assert SampleKind.IMAGES.tiles(images) is images
    with pytest.raises(ValueError, match="samples must be images or video, got points"):
        SampleKind.POINTS.tiles(torch.zeros(4, 2))


def test_what_takes_one_kind_refuses_others_in_one_line():
    point, image, video = torch.zeros(2, 3), torch.zeros(2, 3, 8, 8), torch.zeros(2, 4, 3, 8, 8)
    for samples, kind in ((point, SampleKind.POINTS), (image, SampleKind.IMAGES), (video, SampleKind.VIDEO)):
        assert [each for each in SampleKind if each.has(samples)] == [kind]
    require_images(image)
    require_images(image, 1, 3)
    require_videos(video, 4, exactly=True)
    require_videos(video, 2)
    for samples in (point, video):
        with pytest.raises(ValueError, match=r"^image must have shape \(B, C, H, W\), got \(2, "):
            require_images(samples)
    with pytest.raises(ValueError, match=r"^it takes \(B, 1 or 4, H, W\), got \(2, 3, 8, 8\); no others$"):
        require_images(image, 1, 4, rule="it takes", hint="; no others")
    for samples in (image, video):
        with pytest.raises(ValueError, match=r"^image must be videos of at least 5 frames, \(T, C, H, W\) each, got "):
            require_videos(samples, 5)
    with pytest.raises(ValueError, match=r"^image must be videos of 3 frames, .* got shape \(4, 3, 8, 8\)$"):
        require_videos(video, 3, exactly=True)
