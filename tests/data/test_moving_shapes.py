"""Videos in which one shape moves on a straight line."""

import pytest
import torch

from genexp.data.moving_shapes import MovingShapes


def centres(video):
    """Centre of brightness (N, T, 2) of every frame."""
    weight = video[:, :, 0].double()
    place = torch.arange(video.shape[-1]) + 0.5
    total = weight.sum((2, 3))
    return torch.stack([(weight.sum(2) * place).sum(2) / total, (weight.sum(3) * place).sum(2) / total], 2)


def test_a_shape_moves_by_the_same_step_from_frame_to_frame():
    examples = MovingShapes(24, frames=3, train_videos=300).split("train").read(torch.arange(300))
    assert examples["image"].shape == (300, 3, 1, 24, 24)
    assert examples["image"].dtype == torch.uint8
    steps = centres(examples["image"]).diff(dim=1)
    torch.testing.assert_close(steps[:, 0], steps[:, 1], atol=0.15, rtol=0)  # pixels
    speed = steps[:, 0].norm(dim=1) * 16 / 24
    assert 0.9 < float(speed.min()) < 1.3
    assert 2.7 < float(speed.max()) < 3.1


def test_the_label_is_the_shape():
    examples = MovingShapes().split("val").read(torch.arange(256))
    lit = (examples["image"][:, 0, 0].double() / 255).sum((1, 2))
    assert 0.3 < float(examples["label"].double().mean()) < 0.7
    assert lit[examples["label"] == 1].mean() > 1.15 * lit[examples["label"] == 0].mean()  # 4 r^2 against pi r^2


def test_splits_differ_and_a_video_does_not_depend_on_their_number():
    few, many = (MovingShapes(train_videos=n).split("train").read(torch.arange(4))["image"] for n in (4, 400))
    assert torch.equal(few, many)
    assert not torch.equal(few, MovingShapes().split("test").read(torch.arange(4))["image"])


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="frames must be at least 2, got 1"):
        MovingShapes(frames=1)
    with pytest.raises(ValueError, match="image_size must be at least 8 pixels, got 4"):
        MovingShapes(4)
