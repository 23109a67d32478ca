"""What holds for every diffusion sampler that ships, without being listed here."""

import gc
import weakref

import pytest
import torch

from exact_denoisers import Mixture, shipped, shipped_samplers
from genexp.conditioning.base import UNCONDITIONAL
from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.schedules import Cosine, Linear
from genexp.evaluation.protocol import describe
from genexp.sampling.ddim import DDIM
from genexp.sampling.heun import Heun
from genexp.tensors import BatchNoise, IndexedNoise

NAMES = sorted(shipped_samplers())
OF_MEANS = [name for name in NAMES if name != "consistency"]  # which takes what a mean is not, see test_consistency
COUNT = 2000
START = Mixture(Linear(), 0.0, 1.0).quantiles(COUNT)[:, None]
STEPS = 40
"""Enough for every order to be near."""


def drawn(sampler, model, start=START):
    torch.manual_seed(0)
    sampler.require(model)
    return sampler.run(model, start, BatchNoise(start))


def begun(name, schedule, **changed):
    """A shipped sampler that may begin on a schedule: not every one can at pure noise."""
    return shipped(name, **({"spacing": "leading"} if schedule.last == 1 else {}), **changed)


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), RectifiedFlow()], ids=["linear", "cosine", "flow"])
@pytest.mark.parametrize("name", OF_MEANS)
def test_a_gaussian_and_a_mixture_are_recovered(name, schedule):
    """The mean distance between quantiles drawn and quantiles of the data, whose spread is 0.5 and 0.63."""
    sampler = begun(name, schedule, steps=STEPS if shipped(name).steps else 1000)
    for mean, std in ((0.0, 0.5), (0.6, 0.2)):
        model = Mixture(schedule, mean, std)
        x = drawn(sampler, model)
        far = (x[:, 0].sort().values - model.quantiles(COUNT)).abs().mean()
        assert float(far) < 0.05, (mean, std)


@pytest.mark.parametrize("name", OF_MEANS)
def test_with_the_settings_that_ship_a_gaussian_comes_out_near(name):
    model = Mixture(Linear())
    x = drawn(shipped(name), model)
    assert float(x.mean()) == pytest.approx(0, abs=0.04)
    assert float(x.std()) == pytest.approx(model.std, rel=0.2)


@pytest.mark.parametrize("name", NAMES)
def test_a_single_image_is_recovered_exactly_and_no_noise_is_left(name):
    """The grid ends at clean data: a solver that stopped at a small noise level would leave that."""
    schedule = Linear()
    x = drawn(
        shipped(name, steps=8, **({} if name != "ddpm" else {"variance": "fixed_small"})), Mixture(schedule, std=0.0)
    )
    torch.testing.assert_close(x, torch.zeros_like(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), RectifiedFlow()], ids=["linear", "cosine", "flow"])
@pytest.mark.parametrize("name", NAMES)
def test_the_evaluations_told_are_those_that_are_made(name, schedule):
    """With what warms up a memory, and with blocks that the steps do not divide into."""
    for steps in (17, 18, 19):
        sampler, model = begun(name, schedule, steps=steps), Mixture(schedule)
        drawn(sampler, model, START[:2])
        assert model.calls == sampler.evaluations(schedule)


@pytest.mark.parametrize("name", NAMES)
def test_memory_does_not_grow_with_the_steps(name):
    """At most as many images are alive as a sampler remembers, whatever the number of steps."""
    alive, most = [], {}

    class Watched(Mixture):
        def __call__(self, x_t, t, condition=UNCONDITIONAL):
            alive.append(weakref.ref(x_t))
            x_0 = super().__call__(x_t, t)
            alive.append(weakref.ref(x_0))
            most[steps] = max(most.get(steps, 0), sum(each() is not None for each in alive))
            return x_0

    gc.disable()  # what only the collector of cycles would free counts
    try:
        for steps in (12, 60):
            alive.clear()
            drawn(shipped(name, steps=steps), Watched(Linear()), START[:2])
    finally:
        gc.enable()
    assert most[60] == most[12] <= 10


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_does_not_depend_on_its_batch(name):
    sampler, model = shipped(name, steps=8), Mixture(Linear())

    def rows(indices):
        noise = IndexedNoise(0, indices)
        return sampler.run(model, sampler.start(model, noise), noise)

    assert torch.equal(rows(range(5)), torch.cat([rows(range(2)), rows(range(2, 5))]))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_grid_is_one_grid_for_every_sampler(name):
    """`leading` is 901 ... 1 and 0 for all, with noise that falls along it."""
    levels = shipped(name, steps=10, spacing="leading").levels(Linear())
    assert [level.time for level in levels] == [901, 801, 701, 601, 501, 401, 301, 201, 101, 1, 0]
    noises = [level.sigma for level in levels]
    assert noises == sorted(noises, reverse=True)
    assert noises[-1] == 0


@pytest.mark.parametrize("name", NAMES)
def test_impossible_steps_are_refused_before_the_denoiser_is_called(name):
    model = Mixture(Linear(100))
    for steps, told in ((0, "0"), (-3, "-3"), (101, "101")):
        with pytest.raises(ValueError, match=f"steps must lie between 1 and the schedule's 100, got {told}"):
            shipped(name, steps=steps).require(model)
    with pytest.raises(ValueError, match=r"steps must be a number of at least 1 for .*, got null"):
        shipped(name, steps=None, spacing="trailing").require(Mixture(RectifiedFlow()))
    assert model.calls == 0


@pytest.mark.parametrize("name", NAMES)
def test_pure_noise_is_begun_with_or_refused(name):
    """Without signal at the last time a sampler gives the exact mean, or says which key to change."""
    sampler, model = shipped(name, spacing="trailing", steps=10), Mixture(RectifiedFlow())
    if name in ("plms", "pndm"):
        with pytest.raises(ValueError, match=r"^spacing must have no step"):
            sampler.require(model)
        assert model.calls == 0
    else:
        x = drawn(sampler, model)
        assert bool(torch.isfinite(x).all())
        assert float(x.mean()) == pytest.approx(0, abs=0.04)


def test_protocols_tell_what_is_not_the_default_and_samplers_of_before_as_before():
    told = "clip=True, eta={}, guidance=Unguided(), spacing='trailing', steps=25"
    assert describe(DDIM(25)) == f"DDIM({told.format('0.0')})"
    assert describe(DDIM(25, 1.0, variance="sigma_hat")) == f"DDIM({told.format('1.0')}, variance='sigma_hat')"
    heun = "clip=True, evaluations_per_step=2, guidance=Unguided(), spacing='linspace', steps=13"
    assert describe(Heun()) == f"Heun(along='flow', {heun})"
    assert "churn=3.0, churn_from=0.0, churn_noise=1.0, clip" in describe(Heun(churn=3.0))
    assert "grid='[900, 10]'" in describe(DDIM(None, spacing=[900, 10]))
    assert "grid=\"{'karras': 5}\"" in describe(DDIM(9, spacing={"karras": 5}))
