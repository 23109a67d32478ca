"""Inpainting: what is known is kept exactly, and the rest comes to be as the exact posterior says."""

from itertools import pairwise

import pytest
import torch

from exact_denoisers import Gaussian, shipped, shipped_samplers
from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.schedules import Linear
from genexp.sampling.ddim import DDIM
from genexp.sampling.ddpm import DDPM
from genexp.sampling.draw import draw
from genexp.sampling.editing import Originals
from genexp.sampling.repaint import RePaint, places
from genexp.tensors import BatchNoise

LINEAR = Linear()
NAMES = sorted(shipped_samplers())
STD, CORRELATION, KNOWN = 0.5, 0.9, 0.6
COVARIANCE = [[STD**2, CORRELATION * STD**2], [CORRELATION * STD**2, STD**2]]


class Many(BatchNoise):
    """Noise of many samples of one image, drawn at once."""

    def __init__(self, count):
        super().__init__(torch.zeros(count, 2, dtype=torch.float64))
        self.indices, self.device = [0] * count, torch.device("cpu")


def posterior(edit, sampler, schedule=LINEAR, count=1000):
    """Mean and deviation of the second value, drawn where the first is known."""
    model = Gaussian(schedule, [0.0, 0.0], COVARIANCE)
    given = Originals(torch.tensor([[KNOWN, 9.0]], dtype=torch.float64), torch.tensor([[True, False]]))
    torch.manual_seed(0)
    noise, sampler = Many(count), edit(sampler, given)
    sampler.require(model)
    x = sampler.run(model, noise.normal(2), noise)
    assert bool((x[:, 0] == KNOWN).all())
    assert model.calls == sampler.evaluations_of(model)
    return float(x[:, 1].mean()), float(x[:, 1].std())


MEAN, DEVIATION = CORRELATION * KNOWN, STD * (1 - CORRELATION**2) ** 0.5


def test_many_resamplings_come_to_the_exact_posterior():
    """N(0.54, 0.218^2): once is far from it, and more are nearer than fewer; fresh noise and longer jumps serve too."""
    sampler = DDIM(20, spacing="log_snr", clip=False)
    found = [posterior(RePaint(1, resamplings), sampler) for resamplings in (1, 4, 20)]
    far = [abs(mean - MEAN) for mean, _ in found]
    assert far[0] > 0.2
    assert far[1] < 0.6 * far[0]
    assert far[2] < 0.4 * far[1]
    assert found[2][1] == pytest.approx(DEVIATION, rel=0.15)
    assert posterior(RePaint(4, 20), sampler)[0] == pytest.approx(MEAN, abs=0.08)
    assert posterior(RePaint(1, 10), DDPM(20, "fixed_small", "log_snr", clip=False))[0] == pytest.approx(MEAN, abs=0.08)


def test_the_way_is_that_of_the_paper():
    """Lugmayr et al., appendix B: as their get_schedule_jump, whose times are one less."""
    assert places(5, 2, 2) == [5, 4, 3, 5, 4, 3, 2, 1, 3, 2, 1, 0]
    assert places(3, 1, 1) == [3, 2, 1, 0]
    assert places(3, 1, 3) == [3, 2, 3, 2, 3, 2, 1, 2, 1, 2, 1, 0]
    way = places(250, 10, 10)
    assert sum(after < before for before, after in pairwise(way)) == 250 + 24 * 9 * 10


@pytest.mark.parametrize("schedule", [Linear(), RectifiedFlow()], ids=["linear", "flow"])
@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_takes_part_or_says_why_not(name, schedule):
    sampler = shipped(name, steps=12, spacing="leading")
    if sampler.remembers:
        with pytest.raises(
            ValueError, match=r"sampler must look at the present image alone for inpainting, .* got \w+, wh"
        ):
            posterior(RePaint(2, 2), sampler, schedule, count=2)
    else:
        posterior(RePaint(2, 2), sampler, schedule, count=2)


def test_samples_go_round_the_images_and_share_a_mask_or_have_their_own():
    model = Gaussian(Linear(), [0.0, 0.0], COVARIANCE)
    images = torch.tensor([[0.1, 0.2], [0.3, 0.4]], dtype=torch.float64)

    def kept(known):
        x = draw(model, RePaint(2, 2)(DDPM(8), Originals(images, torch.tensor(known))), range(4), 0)["image"]
        return (x == images.repeat(2, 1)).tolist()

    assert kept([[True, False]]) == [[True, False]] * 4
    assert kept([[True, False], [False, True]]) == [[True, False], [False, True]] * 2


def test_what_cannot_be_painted_is_refused():
    given = Originals(torch.zeros(1, 2), torch.tensor([[True, False]]))
    for arguments, told in (
        ((0, 2), "jump_length must be at least 1, got 0"),
        ((2, 0), "resamplings must be at least 1"),
    ):
        with pytest.raises(ValueError, match=told):
            RePaint(*arguments)
    with pytest.raises(ValueError, match="known must say what is kept of the images, got none"):
        RePaint()(DDPM(8), Originals(torch.zeros(1, 2)))
    with pytest.raises(ValueError, match="jump_length must be below the sampler's 8 steps, got 8"):
        RePaint(8)(DDPM(8), given).require(Gaussian(Linear(), [0.0, 0.0], COVARIANCE))


def test_what_is_known_is_kept_where_the_grid_ends_before_clean_data():
    posterior(RePaint(2, 2), DDPM(8, spacing={"leading": 1, "end": 1}), count=2)
