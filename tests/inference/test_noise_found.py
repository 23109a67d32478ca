"""A mark in the noise is looked for in what was just drawn, and it is said in how many images it is found."""

from types import SimpleNamespace

import torch

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.diffusion.schedules import Cosine
from genexp.inference.noise_found import found_again
from genexp.inference.watermarks import Watermark
from genexp.sampling.marked_noise import MarkedNoise
from genexp.tensors import IndexedNoise, expand_to

STD = 0.3


class Normal(torch.nn.Module):
    """The exact denoiser of pixels N(0, STD^2): what it draws is STD times the noise."""

    conditioning, image_shape, schedule = Conditioning(), (1, 16, 16), Cosine()

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(STD**2), requires_grad=False)

    def source(self):
        return self

    def forward(self, x_t, t, condition=UNCONDITIONAL):
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, torch.float64))
        return (alpha * self.scale / (alpha**2 * self.scale + sigma**2) * x_t).to(x_t.dtype)


def test_it_is_said_in_how_many_of_the_first_images_a_mark_is_found(capsys):
    run, noise = SimpleNamespace(model=Normal()), IndexedNoise(0, range(6)).normal(1, 16, 16)
    images, mark = STD * noise, Watermark("k", "noise", 4.0)
    images[:3] = STD * MarkedNoise("k").onto(noise[:3])
    assert found_again(run, mark, images) == {"watermark_found": 3, "watermark_looked_at": 4}
    assert capsys.readouterr().err == "watermark  genexp info finds it in 3 of the first 4 images\n"
    assert found_again(run, mark, images[:2]) == {"watermark_found": 2, "watermark_looked_at": 2}
    assert found_again(run, None, images) == found_again(run, Watermark("k", "pixels", 4.0), images) == {}
