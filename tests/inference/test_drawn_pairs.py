"""Pictures beside what is drawn of them: those of held-out examples have the noise that the samples' own have."""

from types import SimpleNamespace

import pytest
import torch

import genexp.inference.drawing as drawing
from genexp.conditioning.base import Conditioning
from genexp.conditioning.degradations import Downscaled
from genexp.conditioning.degraded import Degraded
from genexp.data.datamodule import ImageData
from genexp.data.shapes import Shapes
from genexp.sampling.conditions import as_in_training, noised


@pytest.mark.parametrize(("typed", "level"), [({}, 0.1), ({"low_res": 0.3}, 0.3), ({"low_res": 0.0}, 0.0)])
def test_held_out_pictures_are_told_at_the_level_of_noise_that_samples_are_drawn_at(typed, level, monkeypatch):
    source = Shapes(16, train_images=96, val_images=96, test_images=96)
    data = ImageData(source, shape=[3, 16, 16], num_classes=None, image_size=16, channels=3, batch_size=32)
    told = Conditioning({"low_res": Degraded((3, 16, 16), Downscaled(2), noise=0.5, drawn=0.1)})
    monkeypatch.setattr(drawing, "build", lambda _: data)
    model = SimpleNamespace(
        told=told,
        conditions=noised(as_in_training(told, data), told, 0, typed),
        device="cpu",
        run=SimpleNamespace(data=None),
        pictures=SimpleNamespace(pairs=lambda told, rows, real: rows["low_res"]),
        _typed=("low_res_level",),
    )
    rows = drawing.Drawing.pairs(model, 3)
    assert torch.equal(rows[:, 3], torch.full((3, 8, 8), level))
    bare = told.told(data.examples("val", torch.arange(3)))["low_res"][:, :3]
    assert torch.equal(rows[:, :3], bare) == (level == 0)
