"""Where drawing of codes may begin: no clipping brings back what an error of the network becomes there."""

import pytest
import torch
from torch import nn

from genexp.diffusion.code_denoiser import CodeDenoiser
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Epsilon, Sample, Velocity
from genexp.diffusion.schedules import Cosine, Linear, ScaledLinear
from genexp.diffusion.weighting import UniformEpsilon, UniformSample, UniformVelocity
from genexp.sampling.ddim import DDIM

WEIGHTINGS = {Epsilon: UniformEpsilon, Sample: UniformSample, Velocity: UniformVelocity}


class Constant(nn.Module):
    """Says the same of everything."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x_t, t, condition):
        return self.value.expand_as(x_t)


class Halves:
    """Codes that are images."""

    image_shape = code_shape = (2, 4, 4)
    fingerprint = "halves"

    def encode(self, image):
        return image

    def decode(self, code):
        return code


def of_codes(schedule, prediction, value=0.0):
    parts = (Constant(value), schedule, prediction, WEIGHTINGS[type(prediction)](), (2, 4, 4))
    return CodeDenoiser(NetworkDenoiser(*parts, levels=None), Halves())


@pytest.mark.parametrize(
    ("schedule", "prediction", "spacing", "allowed"),
    [
        (Cosine(), Epsilon(), "trailing", False),
        (Cosine(), Epsilon(), "leading", True),
        (Cosine(), Velocity(), "trailing", True),
        (Cosine(), Sample(), "trailing", True),
        (Linear(), Epsilon(), "trailing", True),
        (ScaledLinear(), Epsilon(), "trailing", True),
    ],
)
def test_codes_are_not_drawn_where_an_error_would_be_all_of_them(schedule, prediction, spacing, allowed):
    sampler, model = DDIM(steps=25, spacing=spacing, clip=False), of_codes(schedule, prediction)
    if allowed:
        sampler.require(model)
    else:
        with pytest.raises(ValueError, match=r"20,291 times as large in codes at the first time 1000.*scaled_linear"):
            sampler.require(model)


@pytest.mark.parametrize("prediction", [Epsilon(), Velocity(), Sample()])
def test_it_is_how_far_clean_codes_move_with_the_output(prediction):
    schedule = ScaledLinear()
    x_t, t = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0)), torch.full((3,), 700)
    alpha, sigma = (level[0].item() for level in schedule(t, torch.float64))
    one, other = (of_codes(schedule, prediction, value)(x_t, t) for value in (0.0, 1.0))
    moved = of_codes(schedule, prediction).magnified(alpha, sigma)
    torch.testing.assert_close((other - one).abs(), torch.full_like(x_t, moved))
