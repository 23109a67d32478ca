"""Solvers: measured orders, which are which by another name, and what a step that looks further may ask for."""

import math
from itertools import pairwise

import pytest
import torch

from exact_denoisers import Mixture
from genexp.diffusion.continuous import LinearContinuous, RectifiedFlow
from genexp.diffusion.exploding import NoiseLevel
from genexp.diffusion.schedules import Cosine, Linear
from genexp.sampling.ddim import DDIM
from genexp.sampling.ddpm import DDPM
from genexp.sampling.denoising import Denoise
from genexp.sampling.dpm_solver import DPMSolver, DPMSolver2M
from genexp.sampling.heun import Heun
from genexp.sampling.levels import noise_in
from genexp.sampling.pndm import PNDM
from genexp.sampling.unipc import UniPC
from genexp.tensors import IndexedNoise

ORDERS = {
    "ddim": (lambda steps, **how: DDIM(steps, **how), 1),
    "heun_along_flow": (lambda steps, **how: Heun(steps, "flow", **how), 2),
    "heun_along_noise": (lambda steps, **how: Heun(steps, "noise", **how), 2),
    "dpm_solver_1": (lambda steps, **how: DPMSolver(steps + 1, 1, **how), 1),
    "dpm_solver_2": (lambda steps, **how: DPMSolver(2 * steps + 1, 2, **how), 2),
    "dpm_solver_2s": (lambda steps, **how: DPMSolver(2 * steps + 1, 2, "image", **how), 2),
    "dpm_solver_2m": (lambda steps, **how: DPMSolver2M(steps, **how), 2),
    "dpm_solver_3": (lambda steps, **how: DPMSolver(3 * steps + 1, 3, **how), 3),
    "dpm_solver_3s": (lambda steps, **how: DPMSolver(3 * steps + 1, 3, "image", **how), 3),
    "unipc_1": (lambda steps, **how: UniPC(steps, 1, **how), 2),
    "unipc_2": (lambda steps, **how: UniPC(steps, 2, **how), 3),
}
START = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]


def ends(make, model, steps):
    """Where the starts end, in steps of equal length in log-SNR."""
    return make(steps, spacing="log_snr", clip=False).run(model, START, IndexedNoise(0, range(len(START))))


@pytest.mark.parametrize("name", ORDERS)
def test_the_measured_order_on_a_gaussian_whose_flow_is_known(name):
    """x goes to x std / sqrt(alpha_T^2 std^2 + sigma_T^2); twice the steps leave 2^-order of the error."""
    make, order = ORDERS[name]
    schedule = LinearContinuous(first=1e-7)
    model = Mixture(schedule)
    alpha, sigma = (float(level) for level in schedule(torch.ones(1), torch.float64))
    exact = START * model.std / math.sqrt(alpha**2 * model.std**2 + sigma**2)
    errors = [float((ends(make, model, steps) - exact).abs().max()) for steps in (80, 160)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("warm_up", ["improved_euler", "runge_kutta"])
def test_the_measured_order_of_pseudo_numerical_methods_in_steps_of_equal_time(warm_up):
    """A mean over time stands for one over the noise level: second order, however many values it is of."""
    model, found = Mixture(RectifiedFlow(), mean=0.6, std=0.2), []
    for steps in (100, 200, 400):
        times = [0.98 * i / steps for i in range(1, steps + 1)]
        sampler = PNDM(None, warm_up, times, clip=False)
        found.append(sampler.run(model, START, IndexedNoise(0, range(len(START)))))
    few, more, most = found
    assert math.log2(float((few - more).abs().max() / (more - most).abs().max())) == pytest.approx(2, abs=0.25)


def test_ddim_without_noise_is_dpm_solver_1_and_eulers_method_along_the_noise_level_and_along_the_flow():
    model = Mixture(LinearContinuous(), mean=0.6, std=0.2)
    ddim = DDIM(20, spacing="log_snr", clip=False)
    x = ddim.run(model, START, IndexedNoise(0, range(9)))
    for along in ("noise", "image"):
        ours = DPMSolver(20, 1, along, clip=False).run(model, START, IndexedNoise(0, range(9)))
        torch.testing.assert_close(ours, x, rtol=0, atol=1e-12)
    levels = ddim.levels(model.schedule)
    for whole in (lambda level: level.alpha, lambda level: level.alpha + level.sigma):
        image = START * math.hypot(levels[0].alpha, levels[0].sigma)
        for t, s in pairwise(levels):
            x_0 = model(image, torch.full((9,), t.time, dtype=torch.float64))
            epsilon = noise_in(image, x_0, t)
            slope = epsilon if whole(t) == t.alpha else epsilon - x_0
            image = whole(s) * (image / whole(t) + (s.sigma / whole(s) - t.sigma / whole(t)) * slope)
        torch.testing.assert_close(image, x, rtol=0, atol=1e-12)


def test_unipc_without_its_corrector_is_dpm_solver_2m():
    model = Mixture(Cosine(), mean=0.6, std=0.2)
    one, other = (
        sampler.run(model, START, IndexedNoise(0, range(9)))
        for sampler in (UniPC(10, corrector=False, clip=False), DPMSolver2M(10, clip=False))
    )
    assert torch.equal(one, other)


def test_dpm_solver_2m_by_the_formula_of_its_paper():
    model = Mixture(Linear(), mean=0.6, std=0.2)
    sampler = DPMSolver2M(7, clip=False)
    x, before = START * 1.0, None
    for t, s in pairwise(sampler.levels(model.schedule)):
        x_0 = model(x, torch.full((9,), t.time))
        step = (s.log_snr - t.log_snr) / 2
        ahead = x_0
        if before is not None and math.isfinite(step):
            r = (t.log_snr - before[0].log_snr) / 2 / step
            ahead = (1 + 1 / (2 * r)) * x_0 - 1 / (2 * r) * before[1]
        x = s.sigma / t.sigma * x - s.alpha * math.expm1(-step) * ahead
        before = (t, x_0)
    torch.testing.assert_close(sampler.run(model, START, IndexedNoise(0, range(9))), x, rtol=0, atol=1e-12)


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
@pytest.mark.parametrize("make", [Heun, DPMSolver2M, UniPC, PNDM, DPMSolver, DDIM, DDPM])
def test_every_moment_of_a_trajectory_shows_what_the_denoiser_takes_its_image_for(make, schedule):
    """A method that evaluates twice must not show the second answer beside the image of the first."""
    sampler, model = make(8, spacing="trailing"), Mixture(schedule)
    if make is PNDM:
        sampler = PNDM(16, spacing="leading")
    for moment in sampler.trajectory(model, START, IndexedNoise(0, range(9)), frames=9)[:-1]:
        t = torch.full((9,), moment.time, dtype=torch.int64 if schedule.discrete else torch.float64)
        assert torch.equal(moment.x_0, model(moment.x_t, t).clamp(-1, 1))


def test_a_level_between_two_times_is_the_nearest_that_there_is():
    for schedule, expected in ((Linear(), 750), (RectifiedFlow(), 0.7503)):
        level = Denoise(Mixture(schedule), None, False, 2).level(0.7503 * schedule.last)
        assert level.time == expected
    assert level.alpha == pytest.approx(1 - 0.7503)
    assert Denoise(Mixture(Linear()), None, False, 2).level(1000.6).time == 1000


def test_heun_along_the_noise_level_needs_signal_where_it_begins():
    sampler, model = Heun(along="noise"), Mixture(RectifiedFlow())
    with pytest.raises(ValueError, match="along must be flow where no signal is left at the first time, 1, got noise"):
        sampler.require(model)
    Heun(along="noise", steps=None, spacing=[0.95, 0.5]).require(model)
    with pytest.raises(ValueError, match="along must be flow or noise, got 'time'"):
        Heun(along="time")


def test_heun_with_churn_is_algorithm_2_of_karras():
    """Where time is the noise level, line by line with the same noise; outside [S_tmin, S_tmax] nothing is drawn."""
    model, steps, churn, low, high, spread = Mixture(NoiseLevel(), mean=0.6, std=0.2), 18, 30.0, 0.1, 20.0, 1.007
    sampler = Heun(steps, "noise", "karras", churn, low, high, spread, clip=False)
    levels = sampler.levels(model.schedule)
    noise, x, drawn = IndexedNoise(0, range(9)), START * math.hypot(1, 80), 0

    def slope(x, sigma):
        return (x - model(x, torch.full((9,), sigma, dtype=torch.float64))) / sigma

    for t, s in pairwise([level.time for level in levels]):
        factor = 1 + (min(churn / steps, math.sqrt(2) - 1) if low <= t <= high else 0)
        raised = t * factor
        if factor > 1:
            x, drawn = x + math.sqrt(raised**2 - t**2) * spread * noise.normal(1), drawn + 1
        d = slope(x, raised)
        x_s = x + (s - raised) * d
        x = x_s if s == 0 else x + (s - raised) * (d + slope(x_s, s)) / 2
    assert 5 < drawn < steps
    torch.testing.assert_close(sampler.run(model, START, IndexedNoise(0, range(9))), x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("schedule", [Cosine(), RectifiedFlow()], ids=["cosine", "flow"])
def test_churn_makes_an_image_of_the_higher_level_on_every_schedule(schedule):
    """alpha and sigma of what comes out are those of the level told; nothing is above the last time."""
    sampler, denoise = Heun(10, churn=3.0), Denoise(Mixture(schedule), None, False, 10)

    class Ones:
        def normal(self, *shape):
            return torch.ones(2, *shape, dtype=torch.float64)

    for place in (0.1, 0.5, 0.9):
        t = denoise.level(place * schedule.last)
        (signal, noise), raised = sampler._churned(denoise, torch.tensor([[t.alpha], [0.0]]).double(), t, Ones())
        assert float(signal - noise) == pytest.approx(raised.alpha)
        assert math.hypot(t.sigma * raised.alpha / t.alpha, float(noise)) == pytest.approx(raised.sigma)
        assert raised.sigma / raised.alpha == pytest.approx(1.3 * t.sigma / t.alpha, rel=0.02)
    last = denoise.level(schedule.last)
    x = torch.ones(2, 1, dtype=torch.float64)
    assert sampler._churned(denoise, x, last, Ones()) == (x, last)


def test_noises_are_not_mixed_where_they_tell_nothing_of_an_image():
    """From the last time of the cosine schedule a step along the noise made images of 14,000."""
    told = r"spacing must have no step .* 50 times the noise found in it, got {} from time {}; spacing={}"
    enough = "leading with steps=16 or more has nothing of it"
    with pytest.raises(ValueError, match=told.format(r"1\.3e\+03 times", "1000 to 960", enough)):
        PNDM(25, spacing="trailing").require(Mixture(Cosine()))
    with pytest.raises(ValueError, match=told.format("inf times", r"1 to 0\.96", enough.replace("16", "11"))):
        PNDM(25, spacing="trailing").require(Mixture(RectifiedFlow()))
    with pytest.raises(ValueError, match=told.format(r"3\.1e\+03 times", "1000 to 900", "log_snr or along=image")):
        DPMSolver(10, spacing="trailing").require(Mixture(Cosine()))
    with pytest.raises(ValueError, match="along=image has none, nor have more steps"):
        DPMSolver(1).require(Mixture(Cosine()))
    DPMSolver(10, along="image", spacing="trailing").require(Mixture(Cosine()))
    DPMSolver(10, spacing="trailing").require(Mixture(RectifiedFlow()))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="order must be 1, 2 or 3, got 4"):
        UniPC(order=4)
    with pytest.raises(ValueError, match="order must be 1, 2 or 3, got 0"):
        DPMSolver(order=0)
    with pytest.raises(ValueError, match="along must be noise or image, got 'flow'"):
        DPMSolver(along="flow")
    with pytest.raises(ValueError, match="warm_up must be one of improved_euler, runge_kutta, got 'euler'"):
        PNDM(warm_up="euler")
    with pytest.raises(ValueError, match="steps must be above 3 for warm_up=runge_kutta, got 3"):
        PNDM(3, "runge_kutta", "linspace").require(Mixture(Linear()))
    model = Mixture(Cosine())
    model.codec = object()
    told = r"clip must be false .*; steps and spacing must begin .* got 0\.5 [^;]*; steps must be above 3 .*, got 3; "
    with pytest.raises(ValueError, match=told + "spacing=leading with steps=16 or more has nothing of it$"):
        PNDM(3, "runge_kutta").require(model)
    PNDM(16, "runge_kutta", clip=False).require(model)
    with pytest.raises(ValueError, match="churn must be at least 0, got -1"):
        Heun(churn=-1)
    with pytest.raises(ValueError, match="churn_to must be above churn_from, 2, got 1"):
        Heun(churn_from=2, churn_to=1)
    with pytest.raises(ValueError, match="churn_noise must be positive, got 0"):
        Heun(churn_noise=0)
