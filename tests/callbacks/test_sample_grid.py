"""The pictures of training beside the grid of samples: those that `genexp sample` draws, and what has none."""

import pytest
import torch

from exact_denoisers import Mixture
from genexp.callbacks.sample_grid import SampleGrid
from genexp.conditioning.base import Conditioning
from genexp.conditioning.degradations import Downscaled
from genexp.conditioning.degraded import Degraded
from genexp.diffusion.schedules import Cosine
from genexp.sampling.conditions import Given, as_noisy, noised
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


def test_pairs_are_told_with_the_noise_that_samples_are_drawn_with(monkeypatch):
    kind = Degraded((1, 4, 4), Downscaled(2), noise=0.5, drawn=0.1)
    images = torch.linspace(-1, 1, 64).view(4, 1, 4, 4)
    bare = Given({"low_res": kind.made(images)})
    told = Conditioning({"low_res": kind})
    monkeypatch.setattr(Images, "conditioning", told, raising=False)
    monkeypatch.setattr(SampleGrid, "_samples", lambda *_: images)
    seen = []
    monkeypatch.setattr(Pictures, "pairs", lambda self, told, rows, real: seen.append(rows["low_res"]))
    conditions = noised(bare, told, seed=3)
    SampleGrid(DDIM(6), num=4, seed=3).grids(Family(), {"image": images}, conditions=conditions)
    assert torch.equal(seen[0], conditions.of(range(4))["low_res"])
    assert torch.equal(seen[0][:, 1], torch.full((4, 2, 2), 0.1))
    assert torch.equal(as_noisy({"low_res": kind.made(images)}, bare)["low_res"], kind.made(images))
