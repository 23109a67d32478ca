import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from genexp.data.decoding import open_picture
from genexp.data.picture_tensors import Preparation, to_tensor, with_channels
from genexp.data.source import BadImage

_LIMIT = 10_000


def _gradient(width, height):
    """Red grows to the right, green downwards."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([x, y, 0 * x], -1).astype(np.uint8))


def _png_header(width, height):
    """A PNG that claims a size and holds nothing."""

    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(b"")) + part(b"IEND", b"")


def test_the_right_size_is_kept_as_it_is():
    picture = _gradient(16, 16)
    for fit in ("crop", "pad", "stretch"):
        assert torch.equal(Preparation(16, fit=fit)(picture), to_tensor(picture))


def test_crop_takes_the_central_square():
    image = Preparation(16)(_gradient(48, 16))
    assert torch.equal(image[0, 0], torch.arange(16, 32).to(torch.uint8))
    assert torch.equal(image[1, :, 0], torch.arange(16).to(torch.uint8))


def test_a_first_crop_is_central_and_exact():
    image = Preparation(8, crop=8)(_gradient(20, 30))
    assert torch.equal(image[0, 0], torch.arange(6, 14).to(torch.uint8))
    assert torch.equal(image[1, :, 0], torch.arange(11, 19).to(torch.uint8))


def test_pad_centres_without_enlarging():
    image = Preparation(32, 1, fit="pad")(Image.new("L", (28, 28), 200))
    assert (image[0, 2:30, 2:30] == 200).all()
    assert image.float().sum() == 200 * 28 * 28


def test_pad_shrinks_to_show_everything():
    image = Preparation(16, 1, fit="pad")(Image.new("L", (64, 32), 200))
    assert (image[0, 4:12] == 200).all()
    assert (image[0, :4] == 0).all()


def test_stretch_uses_the_whole_picture():
    image = Preparation(8, fit="stretch", interpolation="box")(_gradient(64, 8))
    assert torch.equal(image[0, 0], (torch.arange(8) * 8 + 4).to(torch.uint8))
    assert torch.equal(image[1, :, 0], torch.arange(8).to(torch.uint8))


def test_shrinking_is_antialiased():
    board = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8))
    image = Preparation(8, 1)(board).float()
    assert (image - 127.5).abs().max() < 20


def test_channels_convert_both_ways():
    grey, colour = Image.new("L", (4, 4), 90), Image.new("RGB", (4, 4), (255, 0, 0))
    assert Preparation(4, 3)(grey)[:, 0, 0].tolist() == [90, 90, 90]
    assert Preparation(4, 1)(colour)[:, 0, 0].tolist() == [76]


def test_transparency_is_laid_on_white():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    half = Image.new("LA", (4, 4), (0, 128))
    assert to_tensor(with_channels(clear, 3))[:, 0, 0].tolist() == [255, 255, 255]
    assert to_tensor(with_channels(half, 1))[0, 0, 0].item() == pytest.approx(127, abs=1)


def test_palettes_are_looked_up():
    picture = Image.new("RGB", (4, 4), (10, 200, 30)).quantize(4)
    assert picture.mode == "P"
    assert to_tensor(with_channels(picture, 3))[:, 0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
@pytest.mark.parametrize("clear", [None, 7])
def test_values_that_are_not_8_bits_are_refused_before_a_conversion_cuts_them(mode, clear):
    picture = Image.new(mode, (4, 4), 200)
    if clear is not None:
        picture.info["transparency"] = clear  # a conversion for its sake makes everything white
    for channels in (1, 3):
        with pytest.raises(ValueError, match=f"its mode is {mode}, not 8 bits a channel"):
            with_channels(picture, channels)


@pytest.mark.parametrize("mode", ["LAB", "HSV", "YCbCr", "CMYK", "RGBa", "La", "LA", "PA"])
def test_every_colour_mode_gives_colour_and_the_grey_of_that_colour(mode):
    picture = Image.new(mode, (4, 4), 120 if mode == "PA" else tuple([120] * len(Image.new(mode, (1, 1)).getbands())))
    colour = with_channels(picture, 3)
    assert with_channels(picture, 1).getpixel((0, 0)) == pytest.approx(colour.convert("L").getpixel((0, 0)), abs=1)


def test_lab_is_read_as_the_colour_that_it_names():
    red = with_channels(Image.new("LAB", (1, 1), (136, 208, 195)), 3).getpixel((0, 0))
    assert red[0] > 240
    assert max(red[1:]) < 30


def test_pictures_come_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    _gradient(20, 10).save(tmp_path / "turned.png", exif=exif)
    picture = open_picture(str(tmp_path / "turned.png"), _LIMIT)
    assert picture.size == (10, 20)
    assert to_tensor(picture)[0, :, 0].tolist() == list(range(20))


def test_a_truncated_picture_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(40, 40, 3), dtype=np.uint8)
    for kind in ("png", "jpg", "webp", "bmp"):
        path = tmp_path / f"cut.{kind}"
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(BadImage, match=f"cannot use image {path}: "):
            open_picture(str(path), _LIMIT)


def test_what_is_no_picture_is_named(tmp_path):
    path = tmp_path / "notes.png"
    for content in (b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + bytes(50)):
        path.write_bytes(content)
        with pytest.raises(BadImage, match=f"cannot use image {path}: "):
            open_picture(str(path), _LIMIT)
    with pytest.raises(BadImage, match=f"cannot use image {tmp_path / 'none.png'}: .*No such file"):
        open_picture(str(tmp_path / "none.png"), _LIMIT)


@pytest.mark.parametrize("size", [(101, 100), (12_000, 10_000), (30_000, 30_000)])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, size, recwarn):
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_header(*size))
    with pytest.raises(BadImage, match=rf"cannot use image {path}: it has \d.* pixels, more than max_pixels=10000"):
        open_picture(str(path), _LIMIT)
    assert len(recwarn) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size must be at least 1 pixel, got 0"),
        ({"crop": 0}, "crop must be at least 1 pixel, got 0"),
        ({"channels": 2}, r"channels must be 1 \(grey\) or 3 \(RGB\), got 2"),
        ({"fit": "zoom"}, "fit must be one of crop, pad, stretch, got 'zoom'"),
        ({"interpolation": "cubic"}, "interpolation must be one of nearest, .*, got 'cubic'"),
        ({"draft": True, "crop": 4}, "draft must be false with crop, .*, got true"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        Preparation(**{"image_size": 8, **options})


def test_a_picture_below_the_crop():
    with pytest.raises(ValueError, match="it has 20 x 30 pixels, less than crop=25"):
        Preparation(8, crop=25)(_gradient(20, 30))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_draft_of_a_jpeg_is_near_the_whole_and_of_other_formats_is_the_whole(tmp_path, fit):
    whole, draft = Preparation(32, fit=fit), Preparation(32, fit=fit, draft=True)
    picture = Image.fromarray(np.indices((300, 200)).sum(0).astype(np.uint8) // 2).convert("RGB")
    for kind, same in (("jpg", False), ("png", True)):
        path = str(tmp_path / f"x.{kind}")
        picture.save(path)
        small = open_picture(path, least=draft.least)
        assert small.size == ((50, 75) if kind == "jpg" else picture.size)
        found, expected = draft(small), whole(open_picture(path, least=whole.least))
        assert torch.equal(found, expected) is same
        assert found.shape == (3, 32, 32)
        assert (found.int() - expected.int()).abs().float().mean() < 3


def test_a_draft_leaves_a_picture_that_is_small_enough_whole(tmp_path):
    path = str(tmp_path / "x.jpg")
    _gradient(32, 40).convert("RGB").save(path)
    assert open_picture(path, least=32).size == open_picture(path).size
