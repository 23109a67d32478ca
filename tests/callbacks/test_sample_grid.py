"""The pictures of training beside the grid of samples: those that `genexp sample` draws, and what has none."""

import pytest
import torch

from exact_denoisers import Mixture
from genexp.callbacks.sample_grid import SampleGrid
from genexp.conditioning.base import Conditioning
from genexp.diffusion.schedules import Cosine
from genexp.sampling.ddim import DDIM
from genexp.sampling.ddpm import DDPM
from genexp.sampling.latent import Latent
from genexp.sampling.visualisation import Pictures


class Images(Mixture):
    image_shape = (1, 2, 2)


class Family:
    device, images_seen, conditioning = torch.device("cpu"), 0, Conditioning()
    denoiser = Images(Cosine(), mean=0.4, std=0.2)

    def source(self):
        return self.denoiser

    def extra_grids(self, batch, noise):
        return {}


def grids(**settings):
    return SampleGrid(DDIM(6), num=4, **settings).grids(Family(), {"image": torch.zeros(4, 1, 2, 2)})


def test_arcs_and_moments_are_drawn_as_the_command_draws_them():
    found = grids(interpolate=3, frames=4, rows=2, seed=5)
    looked_at = Pictures(Family.denoiser, DDIM(6), seed=5)
    assert set(found) == {"samples", "interpolation", "denoising"}
    for name, grid in (("interpolation", looked_at.interpolation(2, 3)), ("denoising", looked_at.denoising(2, 4))):
        assert torch.equal(found[name].samples, grid.samples)
        assert (found[name].across, found[name].down) == (grid.across, grid.down)
    assert torch.equal(found["denoising"].samples[3], found["samples"].samples[0])  # the end of the first noise
    assert set(grids()) == {"samples"}


@pytest.mark.parametrize(
    ("sampler", "settings", "told"),
    [
        (DDPM(6), {"interpolate": 3}, "interpolate must be 0 for a sampler that adds fresh noise .*, got DDPM"),
        (
            DDIM(6, eta=0.5),
            {"interpolate": 3},
            "interpolate must be 0 for a sampler that adds fresh noise .*, got DDIM",
        ),
        (Latent(), {"frames": 3}, "frames must be 0 for a sampler without steps of denoising, got Latent"),
        (DDIM(6), {"frames": 1}, "frames must be 0 or at least 2, got 1"),
        (DDIM(6), {"rows": 0}, "rows must be at least 1 sample, got 0"),
    ],
)
def test_what_cannot_be_shown_is_refused_when_it_is_built(sampler, settings, told):
    with pytest.raises(ValueError, match=told):
        SampleGrid(sampler, **settings)
