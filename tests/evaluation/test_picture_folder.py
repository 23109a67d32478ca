import os

import numpy as np
import pytest
import torch
from PIL import Image

from genexp.data.source import BadImage
from genexp.evaluation.dealing import groups_within
from genexp.evaluation.picture_folder import PictureFolder


def save(path, size=(6, 4), mode="RGB", colour=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    for i in range(5):
        save(tmp_path / f"{i}.png", mode="L", colour=50 * i)
    return tmp_path


def images(folder, batch_size=2):
    return torch.cat([batch["image"] for batch in folder.image_set(batch_size).batches()])


def test_pictures_are_taken_as_they_are_in_the_order_of_their_names(folder):
    found = PictureFolder(folder)
    assert found.shape == (1, 4, 6)
    levels = ((images(found)[:, 0, 0, 0] + 1) * 127.5).round().tolist()
    assert levels == [0, 50, 100, 150, 200]
    assert len(images(PictureFolder(folder, num=3))) == 3


def test_the_digest_is_that_of_the_files_and_not_of_their_place(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for path in folder.iterdir():
        (elsewhere / path.name).write_bytes(path.read_bytes())
    digest = PictureFolder(folder).image_set().digest
    assert PictureFolder(elsewhere).image_set().digest == digest
    save(elsewhere / "4.png", mode="L", colour=201)
    assert PictureFolder(elsewhere).image_set().digest != digest


def test_subfolders_are_classes(tmp_path):
    for name in ("cat/0", "cat/1", "dog/0"):
        save(tmp_path / f"{name}.png")
    found = PictureFolder(tmp_path)
    assert found.label_counts() == [2, 1]
    (batch,) = found.image_set().batches()
    assert batch["label"].tolist() == [0, 0, 1]


def test_a_number_of_pictures_is_drawn_at_random_in_the_shares_of_the_classes(tmp_path):
    for number in range(30):
        save(tmp_path / ("cat" if number < 20 else "dog") / f"{number:02}.png")
    found = PictureFolder(tmp_path, num=9)
    assert found.label_counts() == [6, 3]
    assert found.image_set().note == "9 of 30 drawn at random by class, seed 0"
    assert found.pictures == sorted(found.pictures, key=lambda picture: picture.relative)
    assert found.image_set().digest == PictureFolder(tmp_path, num=9).image_set().digest
    assert [p.relative for p in found.pictures] != [p.relative for p in PictureFolder(tmp_path, 9, seed=1).pictures]
    assert PictureFolder(tmp_path, num=30).image_set().note == ""


def test_a_picture_turned_by_its_header_counts_upright(tmp_path):
    save(tmp_path / "a.png", size=(4, 6))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "b.jpg", exif=exif)
    assert PictureFolder(tmp_path).shape == (3, 6, 4)
    assert images(PictureFolder(tmp_path)).shape == (2, 3, 6, 4)


@pytest.mark.parametrize(
    ("size", "mode", "text"),
    [((5, 4), "L", "grey, 6 x 4 pixels, x.png is grey, 5 x 4 pixels"), ((6, 4), "RGB", "x.png is colour, 6 x 4")],
)
def test_mixed_sizes_and_colour_modes_are_refused_with_both_files(folder, size, mode, text):
    save(folder / "x.png", size=size, mode=mode)
    with pytest.raises(ValueError, match=f"must share size and colour mode: 0.png is .*{text}"):
        PictureFolder(folder)


def test_folders_that_hold_too_little_are_refused(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match=r"a folder of images must exist, got .*nowhere"):
        PictureFolder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="must hold at least 2 images, got 0"):
        PictureFolder(tmp_path / "empty")
    with pytest.raises(ValueError, match="must hold at least 9 images, got 5"):
        PictureFolder(folder, num=9)


def test_a_file_that_is_no_picture_is_named(folder):
    (folder / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(BadImage, match=r"broken\.png"):
        PictureFolder(folder)


def test_a_folder_of_splits_is_refused_and_one_of_them_is_offered(tmp_path):
    for name in ("Train/cat", "Test/cat"):
        save(tmp_path / name / "0.png")
        save(tmp_path / name / "1.png")
    with pytest.raises(ValueError, match=r"must be one set, got the split folders Train, Test in .*such as .*/Test"):
        PictureFolder(tmp_path)
    assert PictureFolder(tmp_path / "Test").label_counts() == [2]


def test_what_was_found_and_passed_over_is_said(tmp_path):
    save(tmp_path / "cat" / "0.avif")
    save(tmp_path / "dog" / "1.jfif")
    Image.new("RGB", (6, 4)).save(
        tmp_path / "dog" / "2.gif", save_all=True, append_images=[Image.new("RGB", (6, 4), 255)]
    )
    (tmp_path / "dog" / "notes.txt").touch()
    assert PictureFolder(tmp_path).notes() == [
        f"3 pictures in {tmp_path}, 2 class folders (cat, dog)",
        f"passed over 1 file: 1 of another kind (.txt): {tmp_path}/dog/notes.txt",
        f"the first frame is read of 1 file with several: {tmp_path}/dog/2.gif",
    ]


def test_sixteen_bit_pictures_are_compared_at_their_rounded_levels(tmp_path):
    for name, level in (("a", 1000), ("b", 32767)):
        Image.fromarray(np.full((4, 6), level, np.uint16)).save(tmp_path / f"{name}.png")
    found = PictureFolder(tmp_path)
    assert found.shape == (1, 4, 6)
    assert ((images(found)[:, 0, 0, 0] + 1) * 127.5).round().tolist() == [4, 127]


@pytest.mark.parametrize("odd", ["link", "pipe", "other"])
def test_what_no_picture_decoder_should_see_is_refused(folder, odd):
    path = folder / "x.png"
    if odd == "link":
        path.symlink_to(folder / "nothing")
    elif odd == "pipe":
        os.mkfifo(path)
    else:
        Image.new("L", (6, 4)).save(path, format="EPS")
    with pytest.raises(BadImage, match=r"x\.png: it (is a link that leads nowhere|is not a regular|cannot be read as)"):
        PictureFolder(folder)


def test_names_that_cannot_be_decoded_do_no_harm(folder):
    name = os.fsdecode(b"\xff.png")
    save(folder / name, mode="L")
    assert PictureFolder(folder).image_set().count == 6
    (folder / name).write_bytes(b"broken")
    with pytest.raises(BadImage) as raised:
        PictureFolder(folder)
    str(raised.value).encode()


@pytest.mark.parametrize("num", [None, 30])
def test_class_folders_are_dealt_within_their_classes_whatever_the_batches(tmp_path, num):
    for number in range(50):
        save(tmp_path / ("cat" if number % 3 else "dog") / f"{number}.png", colour=(5 * number, 0, 0))
    sets = [PictureFolder(tmp_path).image_set(batch_size) for batch_size in (7, 64)]
    found = []
    for each in sets:
        batches = list((each if num is None else each.sample(num)).dealt().batches())
        found.append({name: torch.cat([batch[name] for batch in batches]) for name in ("group", "label")})
    assert torch.equal(found[0]["group"], found[1]["group"])
    assert torch.equal(found[0]["group"], groups_within(found[0]["label"]))
    assert len(found[0]["group"]) == (num or 50)
    flat = PictureFolder(tmp_path / "cat").image_set()
    assert flat.dealt() is flat
