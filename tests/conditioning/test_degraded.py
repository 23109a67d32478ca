"""A low-resolution picture as a condition: what is made, what the network sees, and a recipe from end to end."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

import genexp
import tiny
from genexp.__main__ import main
from genexp.conditioning.base import Conditioning
from genexp.conditioning.degradations import Downscaled
from genexp.conditioning.degraded import Degraded
from genexp.config.instantiate import build
from genexp.networks.embeddings import NoiseLevelEmbedding, NumbersEmbedding, sinusoidal
from genexp.networks.unet import UNet
from genexp.sampling.conditions import Given, as_in_training, noised

KIND = Degraded((1, 8, 8), Downscaled(2), noise=0.3, left_out=0.25)


def test_it_is_made_of_the_batch_as_means_over_squares():
    image = torch.rand(3, 1, 8, 8) * 2 - 1
    told = Conditioning({"low_res": KIND}).told({"image": image, "label": torch.zeros(3)})
    assert told["low_res"].shape == (3, 2, 4, 4)
    torch.testing.assert_close(
        told["low_res"][:, 0], image[:, 0].unflatten(1, (4, 2)).unflatten(3, (4, 2)).mean((2, 4))
    )
    assert not told["low_res"][:, 1].any()  # no noise, and told so
    given = torch.rand(3, 2, 4, 4)
    assert torch.equal(Conditioning({"low_res": KIND}).told({"image": image, "low_res": given})["low_res"], given)
    plain = Degraded((1, 8, 8), Downscaled(4))
    assert torch.equal(plain.made(image), Downscaled(4)(image))


def test_training_adds_noise_of_the_deviation_that_it_tells_and_leaves_some_out():
    torch.manual_seed(0)
    rows = KIND.made(torch.zeros(4000, 1, 8, 8))
    noisy = KIND.in_training(rows)
    level = noisy[:, 1, 0, 0]
    assert torch.equal(noisy[:, 1], level[:, None, None].expand(-1, 4, 4))
    assert (float(level.min()), float(level.max())) == (pytest.approx(0, abs=0.01), pytest.approx(0.3, abs=0.01))
    strong = level > 0.15
    assert float((noisy[strong, 0] / level[strong, None, None]).std()) == pytest.approx(1, abs=0.02)
    spared = Conditioning({"low_res": KIND}).sparing({"low_res": KIND.made(torch.ones(4000, 1, 8, 8))})["low_res"]
    assert float((spared == 0).flatten(1).all(1).float().mean()) == pytest.approx(0.25, abs=0.03)


def test_it_is_drawn_from_with_noise_of_one_level_that_depends_on_seed_and_index():
    kind = Degraded((1, 8, 8), Downscaled(2), noise=0.3, drawn=0.2)
    assert kind == Degraded((1, 8, 8), Downscaled(2), noise=0.3)  # as a condition it is the same
    rows, told = kind.made(torch.zeros(500, 1, 8, 8)), Conditioning({"low_res": kind})
    given = noised(Given({"low_res": rows}), told, 7).of(range(500))["low_res"]
    assert torch.equal(given[:, 1], torch.full((500, 4, 4), 0.2))
    assert float(given[:, 0].std()) == pytest.approx(0.2, abs=0.01)
    assert torch.equal(noised(Given({"low_res": rows}), told, 7).of([3, 250])["low_res"], given[[3, 250]])
    assert not torch.equal(noised(Given({"low_res": rows}), told, 8).of([3])["low_res"], given[[3]])
    assert torch.equal(noised(Given({"low_res": rows}), told, 7, {"low_res": 0}).of([3])["low_res"], rows[[3]])
    with pytest.raises(ValueError, match=r"drawn must lie in \[0, noise=0.3\], got 0.4"):
        Degraded((1, 8, 8), noise=0.3, drawn=0.4)


def test_a_level_is_told_as_a_time_and_numbers_one_behind_the_other():
    torch.manual_seed(0)
    level, numbers = NoiseLevelEmbedding(8), NumbersEmbedding(8, count=2, width=4)
    picture = torch.cat([torch.randn(3, 1, 4, 4), torch.tensor([0.0, 0.1, 0.2]).view(3, 1, 1, 1).expand(3, 1, 4, 4)], 1)
    torch.testing.assert_close(level(picture), level.embedding(torch.tensor([0.0, 100, 200])))
    found = numbers(torch.tensor([[3.0, 5.0]]))
    waves = torch.cat([sinusoidal(torch.tensor([each]), 4) for each in (3.0, 5.0)], 1)
    torch.testing.assert_close(found, numbers.second(torch.nn.functional.silu(numbers.first(waves))))
    assert not torch.allclose(numbers(torch.tensor([[5.0, 3.0]])), found)


def test_a_network_sees_it_as_channels_and_reads_no_other():
    torch.manual_seed(0)
    network = UNet(1, 8, width=8, multipliers=(1, 2), blocks=1, groups=2, beside={"low_res": KIND})
    assert (network.reads, network.stem.in_channels) == (("low_res",), 3)
    x_t, flat = torch.randn(2, 1, 8, 8), torch.full((2, 2, 4, 4), 0.5)
    seen = network.seen(x_t, {"low_res": flat})
    assert torch.equal(seen[:, :1], x_t)
    torch.testing.assert_close(seen[:, 1:], torch.full((2, 2, 8, 8), 0.5))
    with pytest.raises(ValueError, match="low_res must be given to UNet, which reads it, got none"):
        network(x_t, torch.tensor([1, 2]), {})
    assert torch.equal(UNet(1, 8, width=8, groups=2).seen(x_t, {}), x_t)


def test_what_cannot_be_made_is_refused():
    for arguments, told in (
        (((1, 9, 8),), "factor must divide the sides of an image, 9 and 8, got 2"),
        (((3, 8),), r"shape must be \(C, H, W\) of an image or \(T, C, H, W\), got \[3, 8\]"),
        (((1, 8, 8), Downscaled(2), -1.0), "noise must be at least 0, got -1"),
    ):
        with pytest.raises(ValueError, match=told):
            Degraded(*arguments)
    with pytest.raises(ValueError, match="factor must be at least 2, got 1"):
        Downscaled(1)
    with pytest.raises(ValueError, match=r"low_res must be a picture file, .* of shape \(1, 4, 4\), got 3"):
        Conditioning({"low_res": KIND}).read({"low_res": 3})


def test_given_pictures_go_round():
    rows = torch.arange(3)[:, None]
    assert Given({"x": rows}).of([0, 4, 2])["x"].tolist() == [[0], [1], [2]]
    assert Given({"x": rows[:1]}).of([7, 8])["x"].tolist() == [[0], [0]]


@pytest.mark.slow  # a short training
def test_the_recipe_trains_draws_from_given_pictures_and_is_measured(tmp_path, monkeypatch, capsys):
    length = ["data.batch_size=32", "training.max_images=64", "training.evaluate_every=64", "sampler.steps=3"]
    run = tiny.run(["experiment=super_resolution/digits", *tiny.COMMON, *length, f"paths.outputs={tmp_path}"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    for i, level in enumerate((0, 255)):
        Image.fromarray(np.full((4, 4), level, dtype=np.uint8)).save(tmp_path / "small" / f"{i}.png")
    drawn = {}
    for name, given in {"both": "small", "first": "small/0.png", "none": None}.items():
        words = [] if given is None else [f"condition.low_res={given}"]
        monkeypatch.setattr(sys, "argv", ["genexp"])
        main(["sample", f"run={run.path}", "num=2", "interpolate=0", "frames=0", f"out={name}", *words])
        drawn[name] = [(tmp_path / name / "images" / f"00000{i}.png").read_bytes() for i in range(2)]
    assert drawn["both"][0] == drawn["first"][0]
    assert drawn["both"][1] != drawn["first"][1]
    opened = genexp.load_run(run.path)
    low_res = torch.stack([torch.full((1, 4, 4), -1.0), torch.full((1, 4, 4), 1.0)])
    told = as_in_training(opened.model.conditioning, build(opened.data)).of(range(2))
    assert told["low_res"].shape == (2, 2, 4, 4)
    again = opened.samples(2, low_res=low_res)
    levels = np.asarray(Image.open(tmp_path / "both" / "images" / "000001.png"))
    assert (((again[1, 0] + 1) * 127.5).round().clamp(0, 255).numpy() == levels).all()
    main(
        ["evaluate", f"run={run.path}", "num=20", "metrics=fd", "pictures=0", "grid=0", f"out={tmp_path / 'measured'}"]
    )
    assert "fd/" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["genexp"])
    with pytest.raises(FileNotFoundError, match="low_res must be a picture file or a folder of them, got nowhere"):
        opened.samples(1, low_res="nowhere")
