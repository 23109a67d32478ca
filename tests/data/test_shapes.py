import math

import pytest
import torch

from genexp.data.shapes import FACTORS, MODES, Shapes, draw_shapes, factor_levels


def _mode(**levels):
    number = 0
    for name, values in FACTORS.items():
        number = number * len(values) + values.index(levels[name])
    return torch.tensor([number])


_PLAIN = {"colour": "red", "size": "large", "position": "centre", "background": "black"}


def test_mode_numbers_and_factor_levels_are_one_to_one():
    levels = factor_levels(torch.arange(MODES))
    combinations = set(zip(*(levels[name].tolist() for name in FACTORS), strict=True))
    assert MODES == 960
    assert len(combinations) == 960
    assert {name: int(level) for name, level in factor_levels(_mode(shape="cross", **_PLAIN)).items()} == {
        "shape": 3, "colour": 0, "size": 1, "position": 0, "background": 0,
    }  # fmt: skip


def test_every_960_consecutive_pictures_show_every_mode_once():
    examples = Shapes().split("train")
    assert len(examples) == 9600
    assert torch.equal(examples.mode.reshape(10, 960).sort(1).values, torch.arange(960).expand(10, -1))


def test_all_modes_are_different_pictures():
    image = draw_shapes(torch.arange(MODES), 16)
    assert len(torch.unique(image.flatten(1), dim=0)) == MODES


def test_pictures_depend_on_their_index_alone():
    long, short = Shapes().split("train"), Shapes(train_images=1000).split("train")
    rows = torch.tensor([3, 999, 17])
    assert torch.equal(long.read(rows)["image"], short.read(rows)["image"])
    assert torch.equal(long.read(rows[1:2])["image"][0], short.read(rows)["image"][1])
    assert not torch.equal(Shapes().split("val").mode, long.mode[:960])


def test_jitter_makes_pictures_of_one_mode_differ():
    for jitter, distinct in ((0.05, 10), (0.0, 1)):
        examples = Shapes(jitter=jitter).split("train")
        rows = (examples.mode == 500).nonzero().flatten()
        assert len(torch.unique(examples.read(rows)["image"].flatten(1), dim=0)) == distinct


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("circle", math.pi * 0.4**2),
        ("square", (2 * 0.85 * 0.4) ** 2),
        ("triangle", 3 * math.sqrt(3) / 4 * 0.4**2),
        ("cross", (2 * 4 * 0.3 - (2 * 0.3) ** 2) * 0.4**2),
    ],
)
@pytest.mark.parametrize("image_size", [32, 65])
def test_shapes_cover_their_area_at_any_size(shape, area, image_size):
    image = draw_shapes(_mode(shape=shape, **_PLAIN), image_size)[0, 0].double()
    assert image.sum() / 220 / image_size**2 == pytest.approx(area / 4, rel=0.02)


def test_edges_are_antialiased_and_insides_have_the_exact_colours():
    image = draw_shapes(_mode(shape="circle", **_PLAIN), 32)[0]
    assert image[:, 16, 16].tolist() == [220, 40, 40]
    assert image[:, 0, 0].tolist() == [0, 0, 0]
    assert len(image[0].unique()) > 4


def test_the_position_is_where_the_name_says():
    mode = _mode(shape="circle", **{**_PLAIN, "position": "top right", "size": "small"})
    weight = draw_shapes(mode, 64)[0, 0].float()
    line = (torch.arange(64) + 0.5) / 32 - 1
    assert float((weight.sum(0) * line).sum() / weight.sum()) == pytest.approx(0.45, abs=0.01)
    assert float((weight.sum(1) * line).sum() / weight.sum()) == pytest.approx(-0.45, abs=0.01)


def test_the_triangle_points_up():
    rows = (draw_shapes(_mode(shape="triangle", **_PLAIN), 64)[0, 0] > 110).sum(1)
    filled = rows[rows > 0]
    assert filled[0] < filled[-1]


def test_shapes_stay_inside_the_picture():
    for shift in (-0.05, 0.05):
        image = draw_shapes(torch.arange(MODES), 64, torch.full((MODES, 2), shift), torch.full((MODES,), 0.05))
        border = torch.cat([image[:, :, 0], image[:, :, -1], image[..., 0], image[..., -1]], 2)
        assert torch.equal(border, border[..., :1].expand_as(border))


def test_captions_factors_and_labels_agree():
    source = Shapes()
    examples = source.split("test")
    for index in (0, 5, 1919):
        factors = source.factors(index, "test")
        assert (
            source.classes[examples.read(torch.tensor([index]))["label"]] == f"{factors['colour']} {factors['shape']}"
        )
        for word in (factors["colour"], factors["shape"], factors["size"], factors["background"]):
            assert f" {word} " in source.caption(index, "test")
    assert len(source.classes) == len(set(source.classes)) == 24


def test_a_caption_reads_well():
    source = Shapes()
    source.factors = lambda index, split: {"shape": "circle", **_PLAIN}
    assert source.caption(0) == "a large red circle in the centre on a black background"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 4}, "image_size must be at least 8 pixels to tell shapes apart, got 4"),
        ({"jitter": 0.5}, r"jitter must lie in \[0, 0.1\], got 0.5"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        Shapes(**options)
