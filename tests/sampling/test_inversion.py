"""Images back to noise: the closed form of a Gaussian, and there and back again."""

import math

import pytest
import torch

from exact_denoisers import Mixture, shipped, shipped_samplers
from genexp.conditioning.base import UNCONDITIONAL
from genexp.diffusion.continuous import LinearContinuous, RectifiedFlow
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.exploding import NoiseLevel
from genexp.diffusion.prediction import Consistent
from genexp.diffusion.rescaled import ZeroTerminalSNR
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.weighting import UniformSample
from genexp.sampling.consistency import ConsistencySampler
from genexp.sampling.ddim import DDIM
from genexp.sampling.ddpm import DDPM
from genexp.sampling.dpm_solver import DPMSolver2M
from genexp.sampling.heun import Heun
from genexp.sampling.inversion import inverted, inverting_evaluations
from genexp.sampling.pndm import PNDM
from genexp.tensors import IndexedNoise

IMAGES = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]


@pytest.mark.parametrize(("make", "order"), [(DDIM, 1), (DPMSolver2M, 2)])
def test_the_noise_of_a_gaussian_is_the_closed_form_to_the_order_of_the_sampler(make, order):
    """x goes to x sqrt(alpha_T^2 std^2 + sigma_T^2) / std."""
    schedule = LinearContinuous(first=1e-8)
    model = Mixture(schedule, std=0.5)
    alpha, sigma = (float(level) for level in schedule(torch.ones(1), torch.float64))
    exact = IMAGES * math.sqrt(alpha**2 * model.std**2 + sigma**2) / model.std
    errors = []
    for steps in (80, 160):
        found = inverted(make(steps, spacing="log_snr", clip=False), model, IMAGES)
        errors.append(float((found - exact).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), RectifiedFlow()], ids=["linear", "cosine", "flow"])
@pytest.mark.parametrize("name", sorted(shipped_samplers()))
def test_there_and_back_again(name, schedule):
    """With every sampler that ships and adds no noise."""
    sampler = shipped(name, steps=100, spacing="leading")
    model = Mixture(schedule, mean=0.4, std=0.3)
    if not sampler.deterministic:
        told = r"sampler must add no fresh noise to be inverted, got (DDPM|Heun|ConsistencySampler) with"
        with pytest.raises(ValueError, match=told):
            inverted(sampler, model, IMAGES)
        assert model.calls == 0
        return
    if name == "dpm_solver" and isinstance(schedule, Cosine):
        sampler = shipped(name, steps=100)
    noise = inverted(sampler, model, IMAGES)
    back = sampler.run(model, noise, IndexedNoise(0, range(9)))
    torch.testing.assert_close(back, IMAGES, rtol=0, atol=0.06 if name in ("ddim", "euler") else 0.02)


class Erring(Mixture):
    """What a network that predicts images says, with an error in all of them."""

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        return super().__call__(x_t, t) + 0.01

    def magnified(self, alpha, sigma):
        return 1.0


@pytest.mark.parametrize("schedule", [Linear(), RectifiedFlow()], ids=["linear", "flow"])
@pytest.mark.parametrize("make", [DDIM, Heun, DPMSolver2M, PNDM])
def test_errors_of_predicted_images_are_not_taken_for_noise(schedule, make):
    """At the first time of a flow an error of 0.01 in the image is one of 1,000 in the noise."""
    model, sampler = Erring(schedule, mean=0.4, std=0.3), make(100, clip=False, spacing="leading")
    noise = inverted(sampler, model, IMAGES)
    assert model.calls == inverting_evaluations(sampler, model)
    assert noise.abs().max() < 5
    if make is Heun and schedule.first < 1e-3:
        return  # at the least noise of a flow it divides the error by it on the way back, which is its drawing
    back = sampler.run(model, noise, IndexedNoise(0, range(9)))
    torch.testing.assert_close(back, IMAGES, rtol=0, atol=0.08)


def test_a_grid_of_the_end_alone_asks_nothing_of_predicted_images():
    model = Erring(RectifiedFlow(), mean=0.4, std=0.3)
    with pytest.raises(ValueError, match="sampler must have a time between images and noise"):
        inverted(DDIM(1, clip=False), model, IMAGES)


def test_noise_in_which_nothing_is_left_of_an_image_is_found():
    """The grid of `trailing` reaches the last time of a schedule, whose alpha is 0 here."""
    model = Mixture(ZeroTerminalSNR(Linear()), mean=0.4, std=0.3)
    noise = inverted(DDIM(100, clip=False), model, IMAGES)
    back = DDIM(100, clip=False).run(model, noise, IndexedNoise(0, range(9)))
    torch.testing.assert_close(back, IMAGES, rtol=0, atol=0.06)


def test_what_cannot_be_inverted_is_refused():
    model = Mixture(Linear())
    for sampler in (DDPM(10), DDIM(10, eta=0.5), Heun(10, churn=1.0)):
        with pytest.raises(ValueError, match="sampler must add no fresh noise"):
            inverted(sampler, model, IMAGES)
    with pytest.raises(ValueError, match=r"images must have the shape \(1,\), got \(2, 2\)"):
        inverted(DDIM(10), model, torch.zeros(3, 2, 2))
    with pytest.raises(TypeError, match="DDIM draws from a Denoiser"):
        inverted(DDIM(10), torch.nn.Linear(1, 1), IMAGES)
    assert model.calls == 0


def test_consistency_models_have_no_way_back_to_the_noise():
    """They leave an image at the first time as it is, so that no noise is found there."""
    schedule = NoiseLevel()
    parts = (schedule, Consistent(), UniformSample(), (1,))
    model = NetworkDenoiser(lambda x_t, t, condition: x_t, *parts)
    with pytest.raises(ValueError, match=r"at the first time 0\.002 what noise is left, to be inverted, got one that"):
        inverted(DDIM(10, clip=False), model, IMAGES)
    with pytest.raises(ValueError, match="sampler must take steps that can be inverted, got ConsistencySampler"):
        inverted(ConsistencySampler(1), Mixture(schedule), IMAGES)


def test_the_last_answer_of_a_consistency_model_has_no_noise_added_wherever_the_grid_ends():
    model = Mixture(Linear(), mean=0.4, std=0.3)
    ends = [ConsistencySampler(4, {"leading": 1, "end": end}).levels(model.schedule)[-1] for end in (0, 1)]
    assert [(end.alpha, end.sigma) for end in ends] == [(1, 0)] * 2
