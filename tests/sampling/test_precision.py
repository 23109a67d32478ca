"""What networks are evaluated in while a diffusion model is drawn from."""

import pytest
import torch
from torch import nn

from exact_denoisers import Mixture, shipped, shipped_samplers
from genexp.conditioning.base import UNCONDITIONAL
from genexp.diffusion.schedules import Cosine, Linear
from genexp.evaluation.protocol import describe
from genexp.sampling.ddim import DDIM
from genexp.sampling.guidance import Guided
from genexp.sampling.inversion import inverted
from genexp.tensors import IndexedNoise

NAMES = sorted(shipped_samplers())


class Learned(Mixture):
    """The exact mean of a Gaussian plus a little of what a layer says, which tells in what it computes."""

    image_shape = (8,)

    def __init__(self, schedule):
        super().__init__(schedule)
        torch.manual_seed(0)
        self.layer, self.seen = nn.Linear(8, 8), set()

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        said = self.layer(x_t)
        self.seen.add((x_t.dtype, said.dtype))
        return super().__call__(x_t, t).to(x_t.dtype) + 0.01 * said.to(x_t.dtype)


def drawn(sampler, model):
    noise = IndexedNoise(0, range(4))
    return sampler.run(model, sampler.start(model, noise), noise)


@pytest.mark.parametrize("name", NAMES)
def test_networks_compute_in_bf16_and_images_stay_float32(name):
    whole, half = Learned(Linear()), Learned(Linear())
    expected = drawn(shipped(name, steps=6), whole)
    found = drawn(shipped(name, steps=6, precision="bf16-mixed"), half)
    assert whole.seen == {(torch.float32, torch.float32)}
    assert half.seen == {(torch.float32, torch.bfloat16)}
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05)
    assert not torch.is_autocast_enabled("cpu")


class By(Guided):
    """Guidance by a second network."""

    def __init__(self, model, other):
        super().__init__(model)
        self.other = other

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        return 2 * self.bare(x_t, t, condition) - self.other(x_t, t)


def test_what_guides_does_too():
    model, other = Learned(Cosine()), Learned(Cosine())
    drawn(DDIM(4, guidance=lambda inside: By(inside, other), precision="bf16-mixed"), model)
    assert model.seen == other.seen == {(torch.float32, torch.bfloat16)}


def test_protocols_tell_it_where_it_is_another():
    assert "precision" not in describe(DDIM(25))
    assert describe(DDIM(25)) == describe(DDIM(25, precision="32-true"))
    assert "precision='bf16-mixed'" in describe(DDIM(25, precision="bf16-mixed"))


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="precision must be 32-true or bf16-mixed, got 'half'"):
        DDIM(25, precision="half")


def test_noise_is_not_looked_for_through_rounding():
    start = torch.zeros(1, 8)
    with pytest.raises(ValueError, match=r"sampler.precision must be 32-true to be inverted"):
        inverted(DDIM(5, precision="bf16-mixed"), Learned(Linear()), start)
    assert inverted(DDIM(5), Learned(Linear()), start).shape == start.shape
