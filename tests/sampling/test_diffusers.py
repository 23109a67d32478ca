"""Parity with diffusers on one network, one noise and one grid, and the cases in which theirs is wrong.

Every option is set by name and levels are from the same table in float64, for defaults differ from class to class.
"""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from exact_denoisers import Mixture, shipped
from genexp.conditioning.base import UNCONDITIONAL
from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Epsilon, Flow
from genexp.diffusion.schedules import Linear
from genexp.diffusion.weighting import UniformEpsilon
from genexp.sampling.ddim import DDIM
from genexp.sampling.ddpm import DDPM
from genexp.sampling.dpm_solver import DPMSolver, DPMSolver2M
from genexp.sampling.heun import Heun
from genexp.sampling.pndm import PNDM
from genexp.sampling.unipc import UniPC
from genexp.tensors import IndexedNoise, expand_to

START = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
BETAS = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


EXACT = Mixture(Linear(), mean=0.6, std=0.3)


def network(x, t, condition=UNCONDITIONAL):
    """The noise by an exact denoiser, counted from 0 as networks are told of times."""
    t = t.long() + 1
    alpha, sigma = (expand_to(level, x) for level in Linear()(t, torch.float64))
    return (x - alpha * EXACT(x, t)) / sigma


def of_table(kind, **options):
    scheduler = kind(**BETAS, **options)
    scheduler.alphas_cumprod = (1 - Linear().betas).cumprod(0)
    return scheduler


def theirs(scheduler, steps, scale=1.0, **given):
    """The images after every evaluation."""
    scheduler.set_timesteps(steps)
    if isinstance(scheduler, DPMSolverSinglestepScheduler):  # in float32 their third order cancels to 1e-4
        kept = scheduler.alphas_cumprod[scheduler.timesteps]
        exact = torch.cat([((1 - kept) / kept).sqrt(), torch.zeros(1)])
        assert torch.allclose(exact[:-1], scheduler.sigmas[:-1].double(), rtol=1e-5)
        scheduler.sigmas = torch.cat([exact[:-1], scheduler.sigmas[-1:].double()])
    found = [START * scale]
    for t in scheduler.timesteps:
        x = found[-1] if not hasattr(scheduler, "scale_model_input") else scheduler.scale_model_input(found[-1], t)
        found.append(scheduler.step(network(x, t.expand(9)), t, found[-1], **given).prev_sample)
    return found


def ours(sampler, noise=None):
    model = NetworkDenoiser(network, Linear(), Epsilon(), UniformEpsilon(), (1,))
    sampler.require(model)
    return sampler.run(model, START, noise or IndexedNoise(0, range(9)))


def near(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("steps", "spacing"), [(10, "leading"), (20, "leading"), (10, "trailing"), (20, "trailing"), (10, "linspace")]
)
def test_euler_is_ddim_on_every_grid_of_integers(steps, spacing):
    scheduler = of_table(EulerDiscreteScheduler, timestep_spacing=spacing, final_sigmas_type="zero")
    scheduler.set_timesteps(steps)
    first = float(scheduler.sigmas[0])
    found = theirs(scheduler, steps, (1 + first**2) ** 0.5)[-1]
    near(ours(DDIM(steps, spacing=spacing, clip=False)), found)


@pytest.mark.parametrize("skip", [True, False], ids=["plms", "runge_kutta"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_pndm(spacing, skip):
    scheduler = of_table(PNDMScheduler, timestep_spacing=spacing, skip_prk_steps=skip, set_alpha_to_one=True)
    found = theirs(scheduler, 20)
    sampler = PNDM(20, "improved_euler" if skip else "runge_kutta", spacing, clip=False)
    model = NetworkDenoiser(network, Linear(), Epsilon(), UniformEpsilon(), (1,))
    moments = sampler.trajectory(model, START, IndexedNoise(0, range(9)), frames=21)
    near(moments[-2].x_t, found[-2])
    if spacing == "trailing":  # the last step of leading is one time long; theirs weighs it as long as the others
        near(moments[-1].x_t, found[-1])


@pytest.mark.parametrize("spacing", ["trailing", "linspace"])
def test_dpm_solver_2m(spacing):
    scheduler = of_table(
        DPMSolverMultistepScheduler,
        timestep_spacing=spacing,
        solver_order=2,
        algorithm_type="dpmsolver++",
        solver_type="midpoint",
        lower_order_final=True,
        final_sigmas_type="zero",
    )
    found = theirs(scheduler, 20)[-1]
    times = [int(t) + 1 for t in scheduler.timesteps]  # of linspace they are 951 ... 51 and 1, not those of their DDIM
    near(ours(DPMSolver2M(None, times, clip=False)), found)


@pytest.mark.filterwarnings("ignore:.*algorithm_type")
@pytest.mark.parametrize(("order", "along"), [(1, "noise"), (2, "noise"), (3, "noise"), (2, "image"), (3, "image")])
def test_dpm_solver_singlestep(order, along):
    """Where the steps but the last divide by the order; theirs ends in blocks of their own choice elsewhere."""
    scheduler = of_table(
        DPMSolverSinglestepScheduler,
        solver_order=order,
        algorithm_type="dpmsolver" if along == "noise" else "dpmsolver++",
        solver_type="midpoint" if order < 3 else "heun",
        lower_order_final=True,
        final_sigmas_type="zero" if along == "image" else "sigma_min",
    )
    steps = 19
    found = theirs(scheduler, steps)
    times = [int(t) + 1 for t in scheduler.timesteps]
    sampler = DPMSolver(None, order, along, times, clip=False)
    model = NetworkDenoiser(network, Linear(), Epsilon(), UniformEpsilon(), (1,))
    moments = sampler.trajectory(model, START, IndexedNoise(0, range(9)), frames=steps + 1)
    for moment, x in list(zip(moments, found, strict=True))[: -1 if along == "noise" else None]:
        near(moment.x_t, x)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc(order):
    """But for the last but one step of order 3, where theirs goes down by one order."""
    scheduler = of_table(
        UniPCMultistepScheduler,
        solver_order=order,
        solver_type="bh2",
        predict_x0=True,
        timestep_spacing="trailing",
        lower_order_final=True,
        final_sigmas_type="zero",
    )
    found = theirs(scheduler, 20)
    model = NetworkDenoiser(network, Linear(), Epsilon(), UniformEpsilon(), (1,))
    sampler = UniPC(20, order, clip=False)
    moments = sampler.trajectory(model, START, IndexedNoise(0, range(9)), frames=21)
    assert len(moments) == len(found) == 21
    for moment, x in list(zip(moments, found, strict=True))[: None if order < 3 else 19]:
        near(moment.x_t, x)


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_heun_along_the_noise_level(spacing):
    scheduler = of_table(HeunDiscreteScheduler, timestep_spacing=spacing)
    scheduler.set_timesteps(20)
    first = float(scheduler.sigmas[0])
    near(ours(Heun(20, "noise", spacing, clip=False)), theirs(scheduler, 20, (1 + first**2) ** 0.5)[-1])


def test_flow_matching_by_euler():
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)
    scheduler.set_timesteps(20)
    x = START

    def velocity(x, t, condition=UNCONDITIONAL):
        return torch.sin(3 * x + expand_to(t, x) / 300)

    for t in scheduler.timesteps:
        x = scheduler.step(velocity(x, t.expand(9)), t, x).prev_sample
    model = NetworkDenoiser(velocity, RectifiedFlow(), Flow(), UniformEpsilon(), (1,))
    times = (scheduler.timesteps.double() / 1000).tolist()
    near(DDIM(None, spacing=times, clip=False).run(model, START, IndexedNoise(0, range(9))), x)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("steps", [10, 30])
def test_ddpm_on_grids_whose_distances_are_not_all_equal(steps, clip):
    """By their DDPM, which looks its times up; their DDIM steps 1000 // steps back whatever its grid (below)."""
    scheduler = of_table(DDPMScheduler, timestep_spacing="linspace", variance_type="fixed_small", clip_sample=clip)
    scheduler.set_timesteps(steps)
    times = [int(t) + 1 for t in scheduler.timesteps]

    class Shared:
        def __init__(self):
            self.generator = torch.Generator().manual_seed(2)

        def normal(self, *shape):
            return torch.randn(9, *shape, generator=self.generator, dtype=torch.float64)

    x, generator = START, torch.Generator().manual_seed(2)
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t.expand(9)), t, x, generator=generator).prev_sample
    near(ours(DDPM(None, "fixed_small", times, clip=clip), Shared()), x)
    near(ours(DDIM(None, 1.0, times, clip=clip), Shared()), x)  # theirs with eta 1 is DDPM only without clipping


# Where theirs is wrong, ours is held to the closed form


def ddim_of_diffusers(model, steps, spacing, start):
    scheduler = of_table(DDIMScheduler, timestep_spacing=spacing, clip_sample=False, set_alpha_to_one=True)
    scheduler.set_timesteps(steps)
    x = start
    for t in scheduler.timesteps:
        alpha, sigma = model.schedule(t[None] + 1, torch.float64)
        epsilon = (x - alpha * model(x, (t + 1).expand(len(x)))) / sigma
        x = scheduler.step(epsilon, t, x, eta=0.0).prev_sample
    return x


@pytest.mark.parametrize(
    ("steps", "spacing", "spread"), [(50, "linspace", 0.479), (300, "trailing", 0.532), (600, "trailing", 0.659)]
)
def test_a_gaussian_keeps_its_spread_where_ddim_of_diffusers_loses_it(steps, spacing, spread):
    """Their steps on these grids go 1000 // steps back; a spread of 0.5 comes out as `spread`.

    At 50 steps a first-order step is itself that far off: ours is held to the product of its gains, and to the spread.
    """
    model = Mixture(Linear())
    start = model.quantiles(99)[:, None] / model.std
    found = float(ddim_of_diffusers(model, steps, spacing, start).std() / start.std())
    sampler = DDIM(steps, spacing=spacing, clip=False)
    levels = sampler.levels(model.schedule)
    exact = math.hypot(levels[0].alpha, levels[0].sigma)
    for t, s in pairwise(levels):
        gain = t.alpha * model.std**2 / (t.alpha**2 * model.std**2 + t.sigma**2)
        exact *= s.alpha * gain + s.sigma * (1 - t.alpha * gain) / t.sigma
    x = sampler.run(model, start, IndexedNoise(0, range(99)))
    assert float(x.std() / start.std()) == pytest.approx(exact, abs=1e-12)
    assert exact == pytest.approx(0.5, abs=2 / steps)
    assert found == pytest.approx(spread, abs=1e-3)
    assert abs(found - exact) > 5e-3


@pytest.mark.parametrize("name", ["dpm_solver", "unipc", "dpm_solver_2m"])
def test_noise_grows_with_time_before_any_grid_is_chosen(name):
    """Their solvers add noise at reversed times until their times are set; ours have the levels of the schedule."""
    scheduler = of_table(UniPCMultistepScheduler)
    added = [float(scheduler.add_noise(torch.zeros(1, 1), torch.ones(1, 1), torch.tensor([t]))) for t in (10, 900)]
    assert added[0] > added[1]
    noises = [level.sigma for level in shipped(name, steps=None, spacing=[10, 900, 1000]).levels(Linear())]
    assert noises == sorted(noises, reverse=True)
