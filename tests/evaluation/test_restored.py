"""PSNR and SSIM of whole pictures: closed forms, the protocol in the name, the real numbers of bicubic enlargement."""

import math

import pytest
import torch
from PIL import Image

from genexp.conditioning.degradations import Bicubic, Noisy
from genexp.conditioning.degraded import Degraded
from genexp.conditioning.pictures import Picture
from genexp.data.source import BadImage
from genexp.evaluation.metrics.restored import Restored
from genexp.networks.restoration import Espcn, ResidualCnn, Srcnn
from genexp.restoration.whole import closeness
from genexp.tensors import to_float
from picture_models import picture_model


def nothing_added(channels, factor=2):
    model = picture_model(Degraded((channels, 24, 24), Bicubic(factor)), Srcnn, channels, residual=True)
    with torch.no_grad():
        for weight in model.generator.layers[-1].parameters():
            weight.zero_()
    return model


def test_decibels_are_those_of_whole_levels_inside_the_border():
    real = torch.full((1, 3, 20, 20), 100, dtype=torch.uint8)
    other = real.clone()
    other[..., :2, :] = 255  # on the border
    other[..., 2:, :] += 4
    found = closeness(to_float(other), to_float(real), 2)
    assert float(found[2]) == pytest.approx(20 * math.log10(255 / 4), abs=1e-3)
    assert float(found[0]) == pytest.approx(20 * math.log10(255 / 3), abs=1e-3)  # Y of 104: 105.3, of 100: 101.9
    assert float(found[1]) > 0.99
    assert float(closeness(to_float(real), to_float(real), 0)[1]) == pytest.approx(1)


def test_a_grey_picture_is_measured_in_its_own_levels(tmp_path):
    """219 / 255 of these in a colour picture of the same greys: 1.32 dB less."""
    noise = Image.effect_noise((40, 40), 60)
    noise.save(tmp_path / "grey.png")
    noise.convert("RGB").save(tmp_path / "colours.png")
    grey, colours = (
        Restored(tmp_path / name).compute(nothing_added(1), [], 0)["restored_psnr_y"].value
        for name in ("grey.png", "colours.png")
    )
    assert colours - grey == pytest.approx(20 * math.log10(255 / 219), abs=0.05)
    of_rgb = Restored(tmp_path / "grey.png").compute(nothing_added(3), [], 0)
    assert of_rgb["restored_psnr_y"].value == pytest.approx(grey, abs=0.05)
    assert "restored_psnr_rgb" not in of_rgb


@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_that_adds_nothing_scores_what_bicubic_scores(channels):
    found = Restored("flower.jpg", tile=64).compute(nothing_added(channels), [], 0)
    assert found["restored_psnr_y"].value == pytest.approx(found["restored_psnr_y"].details["bicubic"])
    assert found["restored_gain_y"].value == pytest.approx(0, abs=1e-6)
    assert found["restored_psnr_y"].unit == "dB"
    assert ("restored_psnr_rgb" in found) == (channels == 3)


def test_tiles_change_nothing_and_odd_pictures_are_cut(tmp_path):
    Image.effect_noise((61, 47), 40).convert("RGB").save(tmp_path / "odd.png")
    model = picture_model(Degraded((1, 24, 24), Bicubic(3)), Espcn)
    whole = Restored(tmp_path, tile=None).compute(model, [], 0)
    tiled = Restored(tmp_path, tile=16).compute(model, [], 0)
    assert whole["restored_psnr_y"].value == pytest.approx(tiled["restored_psnr_y"].value, abs=1e-2)


def test_the_name_says_pictures_degradation_and_border(tmp_path):
    Image.new("RGB", (40, 40), (9, 9, 9)).save(tmp_path / "a.png")
    first = Restored(tmp_path).subject(nothing_added(1, 4))
    assert first.startswith(f"1 whole picture of {tmp_path.name} (")
    assert first.endswith("Bicubic(factor=4) of luma, border of 4")
    Image.new("RGB", (40, 40), (9, 9, 8)).save(tmp_path / "a.png")
    from genexp.data.photographs import decoded

    decoded.cache_clear()
    assert Restored(tmp_path).subject(nothing_added(1, 4)) != first
    noisy = picture_model(Degraded((3, 24, 24), Noisy(25)), ResidualCnn, 3, depth=3, width=4)
    assert Restored("china.jpg").subject(noisy).endswith("Noisy(deviation=25, least=None) of RGB, border of 0")


def test_noise_of_a_picture_is_its_own_and_what_cannot_be_measured_is_refused(tmp_path):
    Image.new("RGB", (40, 40), (90, 90, 90)).save(tmp_path / "flat.png")
    noisy = picture_model(Degraded((3, 24, 24), Noisy(25)), ResidualCnn, 3, depth=3, width=4)
    one, two = (Restored(tmp_path).compute(noisy, [], seed)["restored_psnr_y"].details["bicubic"] for seed in (0, 1))
    assert one == two
    assert one == pytest.approx(
        20 * math.log10(255 / (25 * 146.42 / 255)), abs=0.5
    )  # of Y, the root of 65.5^2 + 128.6^2 + 25^2
    with pytest.raises(TypeError, match="whose picture a degradation makes, got one of pairs"):
        Restored("china.jpg").require(picture_model(Picture((1, 8, 8)), ResidualCnn, depth=2, width=2))
    with pytest.raises(FileNotFoundError, match="root must be a picture file or a folder of them, got nowhere"):
        Restored("nowhere").require(nothing_added(1))
    for options, told in (({"border": -1}, "border must be at least 0"), ({"tile": 8}, "tile must be at least 16")):
        with pytest.raises(ValueError, match=told):
            Restored("china.jpg", **options)


def test_a_picture_that_the_border_leaves_nothing_of_is_told_before_training(tmp_path):
    Image.new("RGB", (40, 11)).save(tmp_path / "small.png")
    Restored(tmp_path).require(nothing_added(3, 3))
    Restored(tmp_path, border=4).require(nothing_added(3, 2))
    told = "small.png: it has 40 x 11 pixels, and Restored measures what has at least 12 at every side"
    with pytest.raises(BadImage, match=told):
        Restored(tmp_path).require(nothing_added(3, 4))
