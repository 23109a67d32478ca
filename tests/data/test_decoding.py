"""The one place that opens pictures: formats, limits, and every depth of colour."""

import io
import os
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from torchvision.io import decode_png

from genexp.data import decoding
from genexp.data.decoding import EXTENSIONS, FORMATS, SEVERAL, open_picture, read_header
from genexp.data.picture_tensors import with_channels
from genexp.data.source import BadImage
from picture_bytes import LEVELS, ROUNDED, png, tiff

GREY = np.stack([LEVELS] * 2)
RGB = np.stack([GREY, GREY[:, ::-1], GREY], -1)
WITH_ALPHA = np.concatenate([RGB, np.full((2, 7, 1), 65535)], -1)


@pytest.fixture
def opened(tmp_path):
    def from_bytes(content, **options):
        (tmp_path / "x.png").write_bytes(content)
        return open_picture(str(tmp_path / "x.png"), **options)

    return from_bytes


def _row(picture, channels=3):
    return np.asarray(with_channels(picture, channels))[0].tolist()


@pytest.mark.parametrize(
    ("content", "channels"),
    [
        (png(GREY, 0), 1),
        (png(np.stack([GREY, 0 * GREY + 65535], -1), 4), 1),
        (png(RGB, 2), 3),
        (png(WITH_ALPHA, 6), 3),
        *[(tiff(GREY, 1, order, deflated), 1) for order in "<>" for deflated in (False, True)],
        (tiff(65535 - GREY, 0), 1),
        *[(tiff(RGB, 2, order, deflated), 3) for order in "<>" for deflated in (False, True)],
        *[(tiff(WITH_ALPHA, 2, order, deflated, extra=2), 3) for order in "<>" for deflated in (False, True)],
        *[(tiff(WITH_ALPHA, 2, order, extra=0), 3) for order in "<>"],
        (b"P5\n7 2\n65535\n" + GREY.astype(">u2").tobytes(), 1),
        (b"P6\n7 2\n65535\n" + RGB.astype(">u2").tobytes(), 3),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_sixteen_bits_are_scaled_and_rounded(opened, content, channels):
    expected = ROUNDED if channels == 1 else [list(each) for each in zip(ROUNDED, ROUNDED[::-1], ROUNDED, strict=True)]
    assert _row(opened(content), channels) == expected


def test_every_level_is_rounded_to_the_nearest_as_another_decoder_reads_it(tmp_path):
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    random = np.random.default_rng(0).permuted(np.stack([every] * 4, -1), axis=1)
    for colour_type, channels in ((0, 1), (4, 2), (2, 3), (6, 4)):
        content = png(random[..., :channels], colour_type)
        (tmp_path / "x.png").write_bytes(content)
        picture = open_picture(str(tmp_path / "x.png"))
        levels = np.asarray(picture).reshape(256, 256, channels)
        reference = decode_png(torch.frombuffer(bytearray(content), dtype=torch.uint8)).permute(1, 2, 0).numpy()
        assert np.array_equal(levels, np.rint(reference / 257))


def test_the_same_in_jpeg_2000_as_grey_and_refused_in_colour_where_the_low_bits_are_lost(opened):
    file = io.BytesIO()
    Image.fromarray(GREY.repeat(8, 0).repeat(8, 1)).save(file, "JPEG2000")
    assert np.unique(np.asarray(with_channels(opened(file.getvalue()), 1))).tolist() == sorted({*ROUNDED})
    content = file.getvalue()
    sizes = content.index(b"\xff\x4f\xff\x51") + 4
    colour = bytearray(content)
    colour[sizes + 36 : sizes + 38] = (3).to_bytes(2, "big")  # three channels in the header are enough to be refused
    colour[sizes : sizes + 2] = (38 + 9).to_bytes(2, "big")
    colour[sizes + 38 : sizes + 41] = colour[sizes + 38 : sizes + 41] * 3
    raw = bytes(colour[content.index(b"\xff\x4f\xff\x51") :])
    with pytest.raises(BadImage, match="JPEG 2000 in colour at 16 bits a channel"):
        opened(raw)


def test_twelve_bits_of_tiff_fill_the_range(opened):
    pairs = np.array([[0, 4095, 2048, 16]])
    packed = "".join(f"{value:012b}" for value in pairs.ravel())
    data = int(packed, 2).to_bytes(len(packed) // 8, "big")
    content = tiff(np.frombuffer(data, dtype="<u2").reshape(1, 3), 1, bits=12)
    content = content.replace((3).to_bytes(4, "little"), (4).to_bytes(4, "little"), 1)  # width: 4 values in 3 words
    assert _row(opened(content), 1) == [0, 255, 128, 1]


def test_cmyk_at_sixteen_bits(opened):
    ink = np.zeros((1, 1, 4), np.uint16)
    ink[..., 0] = 65535 - 3 * 257
    assert opened(tiff(ink, 5)).getpixel((0, 0)) == (252, 0, 0, 0)


@pytest.mark.parametrize(
    ("content", "level"),
    [
        (png(np.array([[1000, 1001]]), 0, clear=[1000]), [255, 4]),
        (png(np.array([[[1000] * 3, [1001] * 3]]), 2, clear=[1000] * 3), [255, 4]),
        (png(np.array([[[1000, 0], [1000, 65535]]]), 4), [255, 4]),
        (png(np.array([[15, 1]]), 0, 4, clear=[15]), [255, 17]),
        (png(np.array([[3, 1]]), 0, 2, clear=[1]), [255, 255]),
        (png(np.array([[1, 0]]), 0, 1, clear=[0]), [255, 255]),
        (png(np.array([[0, 1]]), 0, 8, clear=[0]), [255, 1]),
        (png(np.array([[[1] * 3, [0] * 3]]), 2, 8, clear=[0] * 3), [1, 255]),
    ],
)
def test_one_clear_colour_shows_white_and_no_other(opened, content, level):
    picture = opened(content)
    assert _row(picture, 1) == level
    assert _row(picture, 3) == [[each] * 3 for each in level]


def test_half_clear_sixteen_bits_lie_half_on_white(opened):
    picture = opened(png(np.array([[[0, 32768]]]), 4))
    assert _row(picture, 1)[0] == pytest.approx(127, abs=1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(WITH_ALPHA, 2, extra=1), "multiplied by their opacity"),
        (tiff(RGB, 2, planes=2), "planes of their own"),
    ],
)
def test_depths_that_cannot_be_read_right_are_refused_by_name(opened, content, reason):
    with pytest.raises(BadImage, match=reason):
        opened(content)


@pytest.mark.parametrize(("mode", "reason"), [("F", "floating-point"), ("I", "32-bit integers")])
def test_other_numbers_are_refused_by_name(tmp_path, mode, reason):
    Image.new(mode, (3, 3), 7).save(tmp_path / "x.tif")
    with pytest.raises(BadImage, match=reason):
        open_picture(str(tmp_path / "x.tif"))


@pytest.mark.parametrize("kind", ["png", "jpg", "jp2", "webp", "avif", "tif", "bmp", "gif", "ppm"])
def test_the_stated_formats_are_read_by_content(tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    Image.new("RGB", (8, 6), (0, 128, 255)).save(path)
    path.rename(tmp_path / "x.dat")
    assert open_picture(str(tmp_path / "x.dat")).convert("RGB").getpixel((3, 3)) == pytest.approx((0, 128, 255), abs=4)
    header = read_header(str(tmp_path / "x.dat"))
    assert (header.channels, header.height, header.width, header.several) == (3, 6, 8, False)
    assert path.suffix in EXTENSIONS


@pytest.mark.parametrize("kind", ["EPS", "TGA", "PCX", "ICO", "SGI", "PDF", "IM", "DDS"])
def test_no_other_format_reaches_a_decoder(tmp_path, kind):
    path = tmp_path / "x.png"
    Image.new("RGB", (8, 6)).save(path, format=kind)
    for use in (open_picture, read_header):
        with pytest.raises(BadImage, match=f"cannot be read as any of {', '.join(FORMATS)}"):
            use(str(path))


def test_nothing_in_the_house_opens_a_picture_by_whatever_decoder_knows_it():
    package = Path(decoding.__file__).parents[1]
    for path in package.rglob("*.py"):
        for call in re.findall(r"Image\.open\((.*)", path.read_text()):
            assert "formats=" in call, f"{path} must state the formats of a picture, or use open_picture"


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "folder.png"):
        with pytest.raises(BadImage, match="not a regular file"):
            open_picture(str(tmp_path / name))


def test_the_limit_of_pixels_is_our_own_and_pillows_is_left_as_it_was(tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # an hour of work less than its real 178,956,970
    path = tmp_path / "large.png"
    Image.new("L", (1100, 1000), 9).save(path)
    assert open_picture(str(path), 1_100_000).size == (1100, 1000)
    assert read_header(str(path), 1_100_000).width == 1100
    with pytest.raises(BadImage, match="1100 x 1000 pixels, more than max_pixels=1099999"):
        open_picture(str(path), 1_099_999)
    assert Image.MAX_IMAGE_PIXELS == 100
    assert len(recwarn) == 0


def test_much_text_beside_sound_pixels_does_no_harm(opened):
    text = b"Comment\0\0" + zlib.compress(bytes(3 * 2**20))
    profile = b"profile\0\0" + zlib.compress(bytes(3 * 2**20))
    picture = opened(png(GREY, 0, extra=[(b"iCCP", profile), *[(b"zTXt", text)] * 30]))
    assert _row(picture, 1) == ROUNDED
    assert PngImagePlugin.MAX_TEXT_CHUNK == 2**20


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tif", "avif"])
def test_of_several_frames_the_first_is_taken_and_marked(tmp_path, kind):
    frames = [Image.new("RGB", (16, 16), (level, level, level)) for level in (200, 50, 90)]
    path = tmp_path / f"moving.{kind}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    picture = open_picture(str(path))
    assert picture.info[SEVERAL]
    assert picture.convert("L").getpixel((5, 5)) == pytest.approx(200, abs=4)
    assert read_header(str(path)).several


@pytest.mark.parametrize("share", [0.55, 0.6, 0.65, 0.7, 0.8, 0.9])
def test_damage_behind_the_first_frame_leaves_the_first(tmp_path, share):
    noise = np.random.default_rng(0).integers(256, size=(3, 20, 24), dtype=np.uint8)
    frames = [Image.fromarray(each) for each in noise]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:2])
    content = (tmp_path / "x.gif").read_bytes()
    (tmp_path / "x.gif").write_bytes(content[: int(len(content) * share)])
    assert np.array_equal(np.asarray(open_picture(str(tmp_path / "x.gif")).convert("L")), noise[0])


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("deep", [False, True])
def test_size_in_the_header_is_that_of_the_upright_picture(tmp_path, kind, deep):
    exif = Image.Exif()
    exif[0x0112] = 6
    if deep and kind not in ("png", "tif"):
        return
    path = tmp_path / f"x.{kind}"
    Image.fromarray(np.zeros((10, 20), np.uint16) if deep else np.zeros((10, 20, 3), np.uint8)).save(path, exif=exif)
    header, picture = read_header(str(path)), open_picture(str(path))
    assert (header.width, header.height) == picture.size == (10, 20)
    assert header.channels == (1 if deep else 3)
