"""Solvers of second order: measured orders, parity with diffusers, and what a step that looks further may ask for."""

import math

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, HeunDiscreteScheduler

from genexp.diffusion.continuous import LinearContinuous, RectifiedFlow
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Epsilon
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.weighting import UniformEpsilon
from genexp.sampling.base import DiffusionSampler, Step
from genexp.sampling.ddim import DDIM
from genexp.sampling.ddpm import DDPM
from genexp.sampling.dpm_solver import DPMSolver2M
from genexp.sampling.heun import Heun
from genexp.tensors import IndexedNoise, expand_to


class Mixture:
    """The exact posterior mean of two equal Gaussians N(+-mean, std^2) of one dimension; a Gaussian at mean 0."""

    num_classes, image_shape = None, (1,)

    def __init__(self, schedule, mean=0.0, std=0.5):
        self.schedule, self.mean, self.std, self.calls = schedule, mean, std, 0

    def __call__(self, x_t, t, label=None):
        self.calls += 1
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, torch.float64))
        total = alpha**2 * self.std**2 + sigma**2
        side = self.mean * torch.tanh(alpha * self.mean * x_t / total)
        return side + alpha * self.std**2 / total * (x_t - alpha * side)


class Midpoint(DiffusionSampler[None]):
    """DPM-Solver-2 of Lu et al. (2022), algorithm 1: a step of DDIM to the middle in log-SNR, and one from there."""

    evaluations_per_step = 2

    def step(self, denoise, x_t, t, s, noise, state):
        x_0 = denoise(x_t, t)
        if s.sigma == 0:
            return Step(s.alpha * x_0, x_0)
        schedule = denoise.model.schedule
        m = denoise.level(float(schedule.at_snr(torch.tensor([(t.log_snr + s.log_snr) / 2]).double())))
        x_m = m.alpha * x_0 + m.sigma * (x_t - t.alpha * x_0) / t.sigma
        epsilon = (x_m - m.alpha * denoise(x_m, m)) / m.sigma
        return Step(s.alpha / t.alpha * x_t + (s.sigma - s.alpha * t.sigma / t.alpha) * epsilon, x_0)


ORDERS = {
    "ddim": (lambda steps, **how: DDIM(steps, **how), 1),
    "heun_along_flow": (lambda steps, **how: Heun(steps, "flow", **how), 2),
    "heun_along_noise": (lambda steps, **how: Heun(steps, "noise", **how), 2),
    "dpm_solver_2m": (lambda steps, **how: DPMSolver2M(steps, **how), 2),
    "midpoint": (lambda steps, **how: Midpoint(steps, **how), 2),
}
START = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]


def ends(make, model, steps):
    """Where the starts end, in steps of equal length in log-SNR."""
    return make(steps, spacing="log_snr", clip=False).run(model, START, IndexedNoise(0, range(len(START))))


@pytest.mark.parametrize("name", ORDERS)
def test_the_measured_order_on_a_gaussian_whose_flow_is_known(name):
    """x goes to x std / sqrt(alpha_T^2 std^2 + sigma_T^2); twice the steps leave 2^-order of the error."""
    make, order = ORDERS[name]
    schedule = LinearContinuous(first=1e-6)
    model = Mixture(schedule)
    alpha, sigma = (float(level) for level in schedule(torch.ones(1), torch.float64))
    exact = START * model.std / math.sqrt(alpha**2 * model.std**2 + sigma**2)
    errors = [float((ends(make, model, steps) - exact).abs().max()) for steps in (80, 160)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("name", ORDERS)
def test_the_measured_order_on_a_mixture(name):
    make, order = ORDERS[name]
    model = Mixture(LinearContinuous(first=1e-6), mean=0.6, std=0.2)
    few, more, most = (ends(make, model, steps) for steps in (100, 200, 400))
    assert math.log2(float((few - more).abs().max() / (more - most).abs().max())) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("schedule", [Cosine(), Linear(), RectifiedFlow()], ids=["cosine", "linear", "flow"])
def test_second_order_is_nearer_at_equal_cost(schedule):
    model = Mixture(schedule)
    exact, errors = START * model.std, []
    for sampler in (DDIM(21, clip=False), Heun(11, clip=False), DPMSolver2M(21, clip=False)):
        model.calls = 0
        errors.append(float((sampler.run(model, START, IndexedNoise(0, range(9))) - exact).abs().max()))
        assert model.calls == sampler.evaluations(schedule) == 21
    assert max(errors[1:]) < 0.5 * errors[0]


@pytest.mark.parametrize("schedule", [Cosine(), RectifiedFlow()], ids=["cosine", "flow"])
@pytest.mark.parametrize("make", [Heun, DPMSolver2M, Midpoint, DDIM, DDPM])
def test_every_moment_of_a_trajectory_shows_what_the_denoiser_takes_its_image_for(make, schedule):
    """A method that evaluates twice must not show the second answer beside the image of the first."""
    sampler, model = make(8), Mixture(schedule)
    if make is Midpoint and not schedule.discrete:
        sampler = Midpoint(None, [0.99, 0.8, 0.5, 0.2])  # half of the way from no signal at all is no level
    for moment in sampler.trajectory(model, START, IndexedNoise(0, range(9)), frames=9)[:-1]:
        t = torch.full((9,), moment.time, dtype=torch.int64 if schedule.discrete else torch.float64)
        assert torch.equal(moment.x_0, model(moment.x_t, t).clamp(-1, 1))


def test_a_level_between_two_times_is_the_nearest_that_there_is():
    levels = []

    class Asks(DDIM):
        def step(self, denoise, x_t, t, s, noise, state):
            levels.append(denoise.level((t.time + s.time) / 2 + 0.3))
            return super().step(denoise, x_t, t, s, noise, state)

    for schedule in (Linear(), RectifiedFlow()):
        Asks(2).run(Mixture(schedule), START, IndexedNoise(0, range(9)))
    assert [level.time for level in levels] == [750, 250, 1.05, 0.55]
    assert levels[0].alpha == float(Linear()(torch.tensor([750]), torch.float64)[0])


def test_heun_along_the_noise_level_needs_signal_where_it_begins():
    sampler, model = Heun(along="noise"), Mixture(RectifiedFlow())
    with pytest.raises(ValueError, match="along must be flow where no signal is left at the first time, 1, got noise"):
        sampler.require(model)
    Heun(along="noise", steps=None, spacing=[0.95, 0.5]).require(model)
    with pytest.raises(ValueError, match="along must be flow or noise, got 'time'"):
        Heun(along="time")


# Parity with diffusers


def network(x, t, label=None):
    return torch.sin(3 * x + expand_to(t, x) / 300)


def ours(sampler):
    model = NetworkDenoiser(network, Linear(), Epsilon(), UniformEpsilon(), (1,))
    return sampler.run(model, START, IndexedNoise(0, range(9)))


def test_dpm_solver_2m_equals_diffusers():
    scheduler = DPMSolverMultistepScheduler(beta_schedule="linear", timestep_spacing="trailing", solver_order=2)
    scheduler.alphas_cumprod = (1 - Linear().betas).cumprod(0)
    scheduler.set_timesteps(20)
    x = START
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t.expand(9)), t, x).prev_sample
    torch.testing.assert_close(ours(DPMSolver2M(20, clip=False)), x, rtol=1e-5, atol=1e-5)


def test_heun_along_the_noise_level_equals_diffusers():
    scheduler = HeunDiscreteScheduler(1000, 1e-4, 0.02, "linear", timestep_spacing="trailing")
    scheduler.alphas_cumprod = (1 - Linear().betas).cumprod(0)
    scheduler.set_timesteps(20)
    x = START / float(scheduler.alphas_cumprod[-1].sqrt())
    for t in scheduler.timesteps:
        x = scheduler.step(network(scheduler.scale_model_input(x, t), t.expand(9)), t, x).prev_sample
    torch.testing.assert_close(ours(Heun(20, "noise", "trailing", clip=False)), x, rtol=0, atol=1e-5)
