"""Pictures of several sizes, cut: what the columns say is what was done, by index alone; the refiner of SDXL."""

from functools import partial

import pytest
import torch
from torch.nn import functional

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.data.several_sizes import SeveralSizes
from genexp.data.shapes import Shapes

SHAPES = partial(Shapes, train_images=960, val_images=960, test_images=960)


def test_columns_say_what_was_done_to_every_picture():
    source, rows = SeveralSizes(SHAPES, 16, (8, 16, 24), 4), torch.arange(300)
    found = source.split("train").read(rows)
    assert found["image"].shape == (300, 3, 16, 16)
    assert found["image"].dtype == torch.uint8
    assert found["size"].dtype == found["crop"].dtype == torch.float32
    for i in (0, 7, 250):
        size, (top, left) = int(found["size"][i, 0]), found["crop"][i].int().tolist()
        own = Shapes(size, train_images=960).split("train").read(rows[i : i + 1])
        whole = functional.interpolate(own["image"].float(), (20, 20), mode="bilinear", antialias=True).round()
        assert torch.equal(found["image"][i].float(), whole[0, :, top : top + 16, left : left + 16])
        assert found["label"][i] == own["label"][0]
    shares = found["size"][:, 0].long().bincount()[[8, 16, 24]] / 300
    assert torch.allclose(shares, torch.tensor(1 / 3), atol=0.1)
    assert {*found["crop"].flatten().tolist()} == {0, 1, 2, 3, 4}
    alone = source.split("train").read(rows[[250, 3]])
    assert all(torch.equal(alone[name], found[name][[250, 3]]) for name in found)
    assert not torch.equal(source.split("val").read(rows)["crop"], found["crop"])
    prints = [
        SeveralSizes(SHAPES, 16, sizes, crop).split("train").fingerprint for sizes, crop in (((8,), 4), ((8,), 3))
    ]
    assert prints[0] != prints[1]


def test_no_size_and_offsets_below_nothing_are_refused():
    for arguments, told in (
        ((16, ()), "sizes must hold at least one"),
        ((16, (8,), -1), "crop must be at least 0"),
    ):
        with pytest.raises(ValueError, match=told):
            SeveralSizes(SHAPES, *arguments)


def test_the_recipe_has_both_as_conditions():
    config = compose("train", ["experiment=sdxl/shapes"])
    batch = build(config.data).examples("val", torch.arange(3))
    told = build(config.model).conditioning.told(batch)
    assert {name: tuple(rows.shape) for name, rows in told.items()} == {
        "caption": (3, 12),
        "size": (3, 2),
        "crop": (3, 2),
    }
