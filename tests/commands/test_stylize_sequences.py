"""Frames in, frames out: their order, their number, their sizes, and how steady they are."""

import pytest
import torch
from PIL import Image

from genexp.commands.stylize import stylize
from genexp.config.compose import compose
from genexp.data.source import BadImage
from genexp.inference.stylising.painting_jobs import content_files, planned
from genexp.inference.stylising.sequences import Steadiness, warp_error
from genexp.networks.johnson import JohnsonStylizer

STILL = ["method=gatys", "steps=1", "device=cpu", "size=null", "model.style_weight=0", "model.tv_weight=0"]


@pytest.fixture
def style(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (20, 20), (200, 90, 10)).save("style.png")
    return "style=style.png"


def frames(count=3, size=(24, 16)):
    return [Image.new("RGB", size, (40 * number, 0, 0)) for number in range(count)]


def test_a_gif_becomes_numbered_frames_and_their_change_is_told(style, tmp_path, capsys):
    first, *others = frames()
    first.save("moving.gif", save_all=True, append_images=others)
    stylize(compose("stylize", ["content=moving.gif", style, *STILL, "sequence=true"]))
    made = sorted((tmp_path / "moving_as_style").iterdir())
    assert [path.name for path in made] == ["000000.png", "000001.png", "000002.png"]
    assert [Image.open(path).getpixel((5, 5))[0] for path in made] == [0, 40, 80]
    told = capsys.readouterr().out
    assert "frames change by 13.33 of 255 levels, those of the content by 13.33, 1.00 times" in told
    with pytest.raises(ValueError, match=r"with sequence=true, got 1 in style\.png"):
        stylize(compose("stylize", ["content=style.png", style, *STILL, "sequence=true"]))
    (tmp_path / "broken.gif").write_bytes(b"GIF89a")
    with pytest.raises(BadImage, match=r"cannot use image broken\.gif"):
        stylize(compose("stylize", ["content=broken.gif", style, *STILL, "sequence=true"]))


def test_frames_of_a_folder_go_by_their_numbers_and_have_one_size(style, tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in (10, 2, 1):
        Image.new("RGB", (24, 16)).save(folder / f"frame{number}.png")
    job = planned("clip", content_files("clip"), "style.png", None, None, sequence=True)
    assert [path.name for path in job.results] == ["frame1.png", "frame2.png", "frame10.png"]
    Image.new("RGB", (16, 16)).save(folder / "frame3.png")
    with pytest.raises(ValueError, match="frames of a sequence must have one size, got 16 x 16, 24 x 16"):
        stylize(compose("stylize", ["content=clip", style, *STILL, "sequence=true"]))
    assert not (tmp_path / "clip_as_style").exists()


def test_steadiness_is_the_mean_change_of_results_beside_that_of_contents():
    steadiness, flicker = Steadiness(), [0.0, 0.2, 0.0]
    for number, jump in enumerate(flicker):
        steadiness.see(torch.full((1, 3, 4, 4), 0.1 * number), torch.full((1, 3, 8, 8), jump))
    assert steadiness.words() == "frames change by 25.50 of 255 levels, those of the content by 12.75, 2.00 times"


def test_what_moves_with_its_content_has_no_warp_error_and_what_flickers_has():
    wide = torch.rand(1, 3, 20, 26, generator=torch.Generator().manual_seed(0))
    moving = torch.cat([wide[..., 2 * n : 2 * n + 16, 3 * n : 3 * n + 16] for n in range(3)])
    assert warp_error(moving, (-2, -3)) == 0
    assert warp_error(moving, (2, 3)) > 0.2
    moving[1] += 0.5
    assert warp_error(moving, (-2, -3)) == pytest.approx(0.5, abs=1e-6)


@torch.no_grad()
def test_a_network_of_one_style_moves_with_pictures_that_go_round():
    """By multiples of its stride, away from the borders, but for what mirrored borders do to the norms of all."""
    torch.manual_seed(0)
    network, size = JohnsonStylizer(width=4, blocks=1).double(), 96
    picture = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rolled = torch.cat([picture.roll((4 * n, 8 * n), (2, 3)) for n in range(3)])
    results, inner = network(rolled), slice(30, size - 30)
    still = warp_error(results[..., inner, inner], (0, 0))
    assert warp_error(results[..., inner, inner], (4, 8)) < 0.1 * still
