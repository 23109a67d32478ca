"""Augmentation that the network is told of: what is done, what is said of it, and where it may stand."""

from math import cos, pi, sin

import pytest
import torch
from torch import nn

from genexp.conditioning.pictures import Picture
from genexp.config.check import problems_of
from genexp.diffusion.augmentation import GeometricAugment, changed
from genexp.diffusion.prediction import Epsilon
from genexp.diffusion.schedules import Cosine
from genexp.diffusion.weighting import UniformEpsilon
from genexp.families.diffusion import Diffusion

NAMES = ("flip", "flip_down", "scale", "cosine", "sine", "along", "across", "down", "right")


def numbers(num, **said):
    return torch.stack([torch.full((num,), float(said.get(name, 0)), dtype=torch.float64) for name in NAMES], 1)


def turned_by(angle):
    return {"cosine": cos(angle) - 1, "sine": sin(angle)}


@pytest.fixture
def image():
    return torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_where_nothing_strikes_an_image_keeps_its_bits_and_zeros_are_told(image):
    torch.manual_seed(0)
    same, told = GeometricAugment(probability=0, flip=0)(image.float())
    assert torch.equal(same, image.float())
    assert told.shape == (5, 9)
    assert not told.any()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"flip": 1}, lambda x: x.flip(-1)),
        ({"flip_down": 1}, lambda x: x.flip(-2)),
        (turned_by(pi / 2), lambda x: torch.rot90(x, -1, (-2, -1))),
        (turned_by(pi), lambda x: x.flip(-1, -2)),
        ({"flip": 1, **turned_by(pi / 2)}, lambda x: torch.rot90(x.flip(-1), -1, (-2, -1))),
    ],
)
def test_flips_and_quarter_turns_move_whole_pixels(image, said, expected):
    torch.testing.assert_close(changed(image, numbers(5, **said)), expected(image))


def test_mixed_precision_changes_no_bit(image):
    torch.manual_seed(0)
    alone = GeometricAugment(probability=0.9)(image.float())
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = GeometricAugment(probability=0.9)(image.float())
    assert all(map(torch.equal, mixed, alone))


def test_moves_are_eighths_of_the_side_after_all_else(image):
    moved = changed(image, numbers(5, down=2, right=-1))
    torch.testing.assert_close(moved[..., 2:, :-1], image[..., :-2, 1:])
    both = changed(image, numbers(5, down=2, **turned_by(pi / 2)))
    torch.testing.assert_close(both[..., 2:, :], torch.rot90(image, -1, (-2, -1))[..., :-2, :])


def test_scale_and_stretch_are_those_of_the_paper_on_planes():
    """A plane stays one under bilinear sampling: away from the mirrors the slopes say what was done."""
    at = torch.arange(32, dtype=torch.float64) - 15.5
    planes = torch.stack([at[:, None].expand(32, 32), at[None].expand(32, 32)])[None]  # what is down, what is right
    angle = pi / 6
    cases = {
        (2.0,): ({"scale": 2.0}, torch.eye(2) * 2 ** (-0.4)),
        (3.0,): ({"along": 1.5 * cos(angle), "across": 1.5 * sin(angle)}, None),
    }
    for said, matrix in cases.values():
        result = changed(planes, numbers(1, **said))[0, :, 12:20, 12:20]
        slopes = torch.stack([result[:, 1, 0] - result[:, 0, 0], result[:, 0, 1] - result[:, 0, 0]], 1)
        if matrix is None:
            turn = torch.tensor([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
            matrix = turn @ torch.diag(torch.tensor([2**-0.3, 2**0.3])) @ turn.T
        torch.testing.assert_close(slopes, matrix.double(), atol=1e-6, rtol=0)


def test_the_last_change_is_the_first_undone(image):
    """Scaled, then moved: the move is in pixels of the result, whatever the scale."""
    alone, both = (changed(image, numbers(5, scale=1.5, right=right)) for right in (0, 1))
    torch.testing.assert_close(both[..., 4:], alone[..., 3:-1])


def test_each_change_strikes_by_itself_and_one_image_in_two_is_flipped():
    torch.manual_seed(0)
    _, told = GeometricAugment(probability=0.2)(torch.zeros(20_000, 1, 2, 2))
    struck = (told != 0).double().mean(0)
    expected = [0.5, 0.1, *[0.2] * 7]
    assert struck.tolist() == pytest.approx(expected, abs=0.012)
    pairs = (told[:, 3] != 0) == (told[:, 4] != 0), (told[:, 7] != 0) == (told[:, 8] != 0)
    assert all(pair.all() for pair in pairs)
    independent = ((told[:, 2] != 0) & (told[:, 7] != 0)).double().mean()
    assert independent == pytest.approx(0.04, abs=0.006)
    assert told[told[:, 2] != 0, 2].std() == pytest.approx(1, abs=0.05)


class Hearing(nn.Module):
    """A network that keeps what it is shown and told."""

    reads = ("augmentation",)

    def __init__(self):
        super().__init__()
        self.weight, self.heard = nn.Parameter(torch.ones(1)), []

    def forward(self, x, t, condition):
        self.heard.append(condition["augmentation"])
        return self.weight * x


def model_of(**parts):
    adam = torch.optim.Adam
    network = parts.pop("network", Hearing())
    return Diffusion(network, Cosine(), Epsilon(), UniformEpsilon(), adam, (1, 8, 8), **parts)


def test_training_tells_what_it_did_and_validation_and_drawing_tell_nothing(image, monkeypatch):
    model, batch = model_of(augmentation=GeometricAugment(probability=0.5)), {"image": image[:, :1].float()}
    seen = []
    monkeypatch.setattr(model, "update", lambda name, drawn, loss: seen.append(drawn) or loss(drawn))
    torch.manual_seed(3)
    model.train_batch(batch)
    told = model.network.heard[0]
    assert told.any()
    torch.testing.assert_close(seen[0]["image"], changed(batch["image"], told))
    assert not torch.equal(seen[0]["image"], batch["image"])
    model.validate_batch(batch)
    model.source()(batch["image"], torch.full((5,), 500))
    assert not any(each.any() for each in model.network.heard[1:])
    assert "augmentation" not in model.conditioning.names


@pytest.mark.parametrize(
    ("typed", "refusal"),
    [
        (["experiment=toy/diffusion_ring8"], "images (C, H, W)"),
        (["experiment=ldm/shapes"], "null with codec"),
        (["model=diffusion", "model.augmentation.probability=1.5"], "probability must lie in [0, 1], got 1.5"),
        (["model=diffusion", "model.augmentation.flip=-1"], "flip must lie in [0, 1], got -1"),
    ],
)
def test_what_does_not_move_with_the_image_is_refused_before_training(typed, refusal):
    problems = problems_of("train", [*typed, "model/augmentation=geometric"])
    assert any(refusal in str(each) for each in problems), problems


def test_a_picture_that_stays_where_it_is_is_refused():
    with pytest.raises(ValueError, match="pictures that do not move with the image, got source"):
        model_of(augmentation=GeometricAugment(), conditions={"source": Picture((1, 8, 8))})


def test_a_network_that_is_not_told_is_refused():
    typed = ["experiment=edm/digits", "model/augmentation=geometric", "~model.network.told.augmentation"]
    problems = problems_of("train", typed)
    assert any("augmentation" in each for each in problems), problems


def test_pictures_that_are_made_of_the_image_move_with_it():
    typed = ["experiment=super_resolution/digits", "model/augmentation=geometric"]
    assert not problems_of("train", typed)
