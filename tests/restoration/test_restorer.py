"""Pictures of any size through trained networks: tiles, colours, levels of files."""

from itertools import pairwise

import pytest
import torch

from genexp.colours import luminance, studio_luminance, with_luminance
from genexp.conditioning.base import Conditioning
from genexp.conditioning.bicubic import resized
from genexp.conditioning.degradations import Bicubic, Downscaled, Grey, Noisy
from genexp.conditioning.degraded import Degraded
from genexp.conditioning.pictures import Picture
from genexp.networks.image_to_image import ImageToImageGenerator
from genexp.networks.restoration import Espcn, ResidualCnn, Srcnn
from genexp.networks.rrdb import Rrdb
from genexp.restoration.restorer import Restorer
from genexp.restoration.tiles import squares, tiles
from genexp.tensors import to_float, to_uint8
from picture_models import PictureModel, picture_model


def of(kind, make, channels=1, **options):
    return Restorer(picture_model(kind, make, channels, **options))


RESTORERS = {
    "srcnn x2": of(Degraded((1, 24, 24), Bicubic(2)), Srcnn),
    "srcnn x3": of(Degraded((1, 24, 24), Bicubic(3)), Srcnn, kernels=(9, 5, 5)),
    "espcn x4": of(Degraded((1, 24, 24), Bicubic(4)), Espcn),
    "rrdb x2": of(Degraded((3, 24, 24), Bicubic(2)), Rrdb, 3, depth=1, width=4, growth=2),
    "denoiser": of(Degraded((3, 24, 24), Noisy(25)), ResidualCnn, 3, depth=5, width=4),
}


def picture(channels, height=47, width=61):
    return torch.randint(256, (channels, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", RESTORERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_in_tiles_it_is_what_it_is_of_the_whole(name, channels):
    restorer, given = RESTORERS[name], picture(channels)
    whole = restorer(given)
    assert whole.shape == (channels, restorer.scale * 47, restorer.scale * 61)
    for tile in (16, 23):
        apart = (restorer(given, tile).int() - whole.int()).abs()
        assert int(apart.max()) <= 1  # float sums of other lengths may round otherwise
        assert float((apart > 0).float().mean()) < 0.01


def test_tiles_cover_every_pixel_once_and_squares_overlap_by_a_quarter():
    seen = torch.zeros(47, 61)
    for outer, inner in tiles(47, 61, 16, 5):
        seen[inner.top : inner.bottom, inner.left : inner.right] += 1
        assert (outer.top, outer.left) == (max(inner.top - 5, 0), max(inner.left - 5, 0))
        assert outer.bottom - outer.top <= 26
    assert bool((seen == 1).all())
    for height, width in ((47, 61), (16, 16), (5, 17)):
        boxes = squares(height, width, 16)
        assert max(box.bottom for box in boxes) == max(height, 16)
        assert max(box.right for box in boxes) == max(width, 16)
        lefts = sorted({box.left for box in boxes})
        assert all(after - before <= 12 for before, after in pairwise(lefts))


def test_progress_counts_the_tiles():
    told = []
    RESTORERS["espcn x4"](picture(1), 32, lambda done, total: told.append((done, total)))
    assert told == [(i, 4) for i in range(1, 5)]


def test_what_a_network_is_given_is_bounded_by_the_tile_and_not_by_the_picture():
    restorer, seen = RESTORERS["srcnn x2"], []
    hook = restorer.model.generator.layers[0].register_forward_hook(lambda module, given, made: seen.append(given[0]))
    restorer(picture(3, 90, 130), 16)
    hook.remove()
    margin = restorer.model.generator.margin
    assert len(seen) == 6 * 9
    assert max(max(each.shape[-2:]) for each in seen) == 2 * (16 + 2 * restorer.reach) + 2 * margin


def test_networks_of_one_size_get_squares_of_it_and_constants_have_no_seams():
    kind = Picture((1, 16, 16))
    restorer = of(kind, ImageToImageGenerator, width=4, widest=8, dropout=0.0, norm="none")
    assert restorer.reach == 0
    for height, width in ((16, 16), (37, 50), (9, 30)):
        made = restorer(torch.full((1, height, width), 90, dtype=torch.uint8))
        assert made.shape == (1, height, width)
    one = restorer.coloured(to_float(picture(1, 16, 16))[None])[0]
    assert torch.equal(restorer(picture(1, 16, 16)), to_uint8(one))


def test_a_model_of_luma_leaves_colours_to_the_bicubic_filter():
    restorer, given = RESTORERS["srcnn x2"], picture(3, 20, 22)
    made = to_float(restorer(given))[None]
    floats = to_float(given)[None]
    expected = with_luminance(resized(floats, 2), restorer.image(luminance(floats))).clamp(-1, 1)
    torch.testing.assert_close(made, expected, atol=1 / 255 + 1e-5, rtol=0)


def test_a_denoiser_of_grey_restores_red_green_and_blue_one_by_one():
    restorer = of(Degraded((1, 24, 24), Noisy(25)), ResidualCnn, depth=3, width=4)
    given = picture(3, 20, 22)
    made = restorer(given)
    for channel in range(3):
        torch.testing.assert_close(made[channel], restorer(given[channel : channel + 1])[0], atol=1, rtol=0)


def test_grey_pictures_get_colours_from_a_model_that_makes_them_and_stay_grey_else():
    colours = of(Degraded((3, 24, 24), Grey()), ResidualCnn, 3, depth=3, width=4)
    assert colours(picture(1, 20, 22)).shape == colours(picture(3, 20, 22)).shape == (3, 20, 22)
    assert RESTORERS["denoiser"](picture(1, 20, 22)).shape == (1, 20, 22)


def test_the_luminance_is_that_of_matlab():
    """rgb2ycbcr of black, white, red, green, blue and a mixture, by its formula in whole levels."""
    pixels = torch.tensor([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [120, 80, 200]])
    rgb = to_float(pixels.to(torch.uint8)).T.reshape(1, 3, 1, 6)
    assert studio_luminance(rgb).flatten().tolist() == [16, 235, 81, 145, 41, 107]
    assert studio_luminance(luminance(rgb))[0, 0, 0].tolist() == pytest.approx([16, 235, 81, 145, 41, 107], abs=1)


def test_models_of_anything_else_are_refused():
    with pytest.raises(TypeError, match="a model that is told one picture and nothing else, got Linear"):
        Restorer(torch.nn.Linear(1, 1))
    kind = Degraded((1, 8, 8), Downscaled(2), noise=0.3)
    model = PictureModel(Picture((1, 8, 8)), Espcn(8, 1, {"source": Picture((1, 8, 8))}))
    model.conditioning = Conditioning({"source": kind})
    with pytest.raises(TypeError, match="no more than it, got one with noise"):
        Restorer(model)
