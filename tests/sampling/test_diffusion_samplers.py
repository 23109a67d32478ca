"""DDPM and DDIM: exact on a Gaussian, equal to diffusers, independent of batch size."""

from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.diffusion.continuous import LinearContinuous, RectifiedFlow
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Epsilon
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.weighting import UniformEpsilon
from genexp.networks.unet import UNet
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.ddim import DDIM
from genexp.sampling.ddpm import DDPM
from genexp.sampling.levels import Level, posterior_variance, step_variance
from genexp.tensors import IndexedNoise, expand_to


class GaussianDenoiser:
    """The exact posterior mean of data N(mean, std^2), the same in every pixel."""

    conditioning = Conditioning()

    def __init__(self, mean, std, schedule, image_shape=(4096,)):
        self.mean, self.std, self.schedule, self.image_shape = mean, std, schedule, image_shape
        self.calls = 0

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        self.calls += 1
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, torch.float64))
        gain = alpha * self.std**2 / (alpha**2 * self.std**2 + sigma**2)
        return (self.mean + gain * (x_t - alpha * self.mean)).to(x_t.dtype)


class ConstantDenoiser(GaussianDenoiser):
    """Always the same clean image, far outside the range of images."""

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        return torch.full_like(x_t, self.mean)


class SharedNoise:
    """Noise of whole batches from one generator, as diffusers draws it."""

    def __init__(self, seed, count):
        self.generator, self.count = torch.Generator().manual_seed(seed), count

    def normal(self, *shape):
        return torch.randn(self.count, *shape, generator=self.generator, dtype=torch.float64)


def draw(sampler, model, indices=range(4), seed=0, condition=UNCONDITIONAL):
    noise = IndexedNoise(seed, indices)
    return sampler.run(model, sampler.start(model, noise), noise, condition)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = UNet(1, 8, width=16, multipliers=(1, 2), blocks=1, attention=(4,)).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network


# A Gaussian whose denoiser is exact

SAMPLERS = [
    DDPM(variance="fixed_small", clip=False),
    DDPM(variance="fixed_large", clip=False),
    DDIM(steps=250, clip=False),
    DDIM(steps=None, eta=1.0, clip=False),
    DDIM(steps=250, eta=0.5, clip=False),
]


@pytest.mark.parametrize("schedule", [Linear(), Cosine()], ids=["linear", "cosine"])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: f"{type(s).__name__}{s.steps}")
def test_a_gaussian_is_recovered(sampler, schedule):
    x = draw(sampler, GaussianDenoiser(0.3, 0.5, schedule))
    assert float(x.mean()) == pytest.approx(0.3, abs=0.02)
    assert float(x.std()) == pytest.approx(0.5, abs=0.02)


def test_a_grid_that_starts_late_starts_from_pure_noise_all_the_same():
    """The quadratic grid of the linear schedule begins at 0.8 T, where the signal is small but not nothing."""
    x = draw(DDIM(steps=200, spacing="quadratic", clip=False), GaussianDenoiser(0.3, 0.5, Linear()))
    assert float(x.mean()) == pytest.approx(0.3, abs=0.03)
    assert float(x.std()) == pytest.approx(0.5, abs=0.02)


EVERY = {
    "ddpm_small": lambda steps, spacing: DDPM(steps, "fixed_small", spacing, clip=False),
    "ddpm_large": lambda steps, spacing: DDPM(steps, "fixed_large", spacing, clip=False),
    "ddim": lambda steps, spacing: DDIM(steps, 0.0, spacing, clip=False),
    "ddim_half": lambda steps, spacing: DDIM(steps, 0.5, spacing, clip=False),
    "ddim_full": lambda steps, spacing: DDIM(steps, 1.0, spacing, clip=False),
}


class FixedNoise:
    """The same number wherever a normal one is drawn."""

    def __init__(self, value):
        self.value = value

    def normal(self, *shape):
        return torch.full((3, *shape), self.value, dtype=torch.float64)


def moments(sampler, model):
    """Mean and variance of what a sampler makes of pure noise, in closed form: every step is x -> a x + b + r z."""
    mean, variance, levels = 0.0, 1.0, sampler.levels(model.schedule)
    for t, s in pairwise(levels):
        x = torch.tensor([[0.0], [1.0], [0.0]], dtype=torch.float64)

        def denoise(x_t, level):
            gain = level.alpha * model.std**2 / (level.alpha**2 * model.std**2 + level.sigma**2)
            return model.mean + gain * (x_t - level.alpha * model.mean)

        plain, noisy = (sampler.step(denoise, x, t, s, FixedNoise(value)).x_s.flatten() for value in (0.0, 1.0))
        scale, shift, fresh = float(plain[1] - plain[0]), float(plain[0]), float(noisy[2] - plain[2])
        mean, variance = scale * mean + shift, scale**2 * variance + fresh**2
    return mean, variance


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace", "quadratic"])
@pytest.mark.parametrize("name", EVERY)
def test_a_gaussian_keeps_its_mean_at_every_number_of_steps_or_the_grid_is_refused(name, spacing):
    """A start in mid-schedule shrinks the mean: with leading and 501 of 1000 steps 0.5 came out at 0.451."""
    schedule, refused = Linear(100), []
    model = GaussianDenoiser(0.5, 0.5, schedule)
    for steps in range(1, 101):
        sampler = EVERY[name](steps, spacing)
        try:
            mean, variance = moments(sampler, model)
        except ValueError:
            refused.append(steps)
            continue
        assert mean == pytest.approx(0.5, abs=0.026 if steps < 10 else 0.011), steps
        if name == "ddim" and steps >= 20:
            assert variance**0.5 == pytest.approx(0.5, rel=0.15), steps
    assert refused == ([1, 2] if spacing == "leading" else [])


@pytest.mark.parametrize("schedule", [RectifiedFlow(), LinearContinuous()], ids=["flow", "linear"])
@pytest.mark.parametrize("name", EVERY)
def test_a_gaussian_is_recovered_in_real_time(name, schedule):
    """From noise without signal the mean is exact at every number of steps; the spread comes with them."""
    model, exact = GaussianDenoiser(0.5, 0.5, schedule), isinstance(schedule, RectifiedFlow)
    for steps in (1, 7, 1000):
        mean, variance = moments(EVERY[name](steps, "trailing"), model)
        assert mean == pytest.approx(0.5, abs=1e-12 if exact else 4e-3)
    assert variance**0.5 == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("schedule", [Linear(), Cosine()], ids=["linear", "cosine"])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace", "quadratic"])
def test_at_no_number_of_steps_does_an_accepted_grid_begin_with_more_than_a_tenth_of_the_image(spacing, schedule):
    refused = []
    for steps in [*range(1, 60), *range(60, 1001, 7), 1000]:
        try:
            first = DDIM(steps, spacing=spacing).levels(schedule)[0]
        except ValueError:
            refused.append(steps)
        else:
            assert first.alpha <= 0.1
    if spacing in ("trailing", "linspace"):
        assert refused == []
    elif isinstance(schedule, Linear):
        assert refused == ([1, 2, 3] if spacing == "leading" else [])
    else:
        assert refused[:15] == list(range(1, 16))
        assert (len(refused) == 15) == (spacing == "leading")


def test_a_grid_in_mid_schedule_is_refused_before_anything_is_drawn():
    model = GaussianDenoiser(0.5, 0.5, Linear())
    text = r"got 0\.28 at the first time 501 of 1000 \(steps=2, spacing=leading\); take more steps, or spacing=trailing"
    with pytest.raises(ValueError, match=text):
        DDIM(2, spacing="leading").start(model, IndexedNoise(0, [0]))
    with pytest.raises(ValueError, match=r"got 0\.28 at the first time 500 of 1000"):
        DDPM(None, spacing=[500, 250, 1]).start(model, IndexedNoise(0, [0]))
    assert model.calls == 0


def test_ddim_converges_to_the_exact_map_of_the_flow():
    """Without noise a Gaussian's start z goes to mean + std z; the error falls with the number of steps."""
    model = GaussianDenoiser(0.3, 0.5, Cosine())
    start = torch.randn(2, 4096, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    errors = []
    for steps in (10, 100, 1000):
        x = DDIM(steps=steps, clip=False).run(model, start, IndexedNoise(0, range(2)))
        errors.append(float((x - (0.3 + 0.5 * start)).abs().mean()))
    assert errors[0] > 5 * errors[1] > 10 * errors[2]
    assert errors[2] < 2e-3


def test_ancestral_variance_is_bracketed_by_the_two_choices():
    """With few steps the small variance gives too little spread to a broad Gaussian, the large one more than it."""
    model = GaussianDenoiser(0.0, 1.0, Linear())
    small, large = (draw(DDPM(25, variance, clip=False), model).std() for variance in ("fixed_small", "fixed_large"))
    assert small < 0.99
    assert large == pytest.approx(1.0, abs=0.02)  # the right choice for white noise


def test_a_single_image_is_recovered_exactly_by_the_small_variance():
    x = draw(DDPM(25, "fixed_small", clip=False), GaussianDenoiser(0.3, 0.0, Linear()))
    torch.testing.assert_close(x, torch.full_like(x, 0.3))


def test_ddim_with_full_noise_has_the_variances_of_ddpm():
    t, s = DDPM(10).levels(Linear())[3:5]
    model, noise = GaussianDenoiser(0.3, 0.5, Linear()), IndexedNoise(0, range(2))
    x_t = torch.randn(2, 4096, dtype=torch.float64)

    def denoise(x, level):
        return model(x, torch.full((2,), level.time))

    implicit = DDIM(10, eta=1.0, clip=False).step(denoise, x_t, t, s, noise).x_s
    ancestral = DDPM(10, clip=False).step(denoise, x_t, t, s, IndexedNoise(0, range(2))).x_s
    torch.testing.assert_close(implicit, ancestral, rtol=0, atol=1e-12)


# Parity with diffusers


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize(("clip", "eta"), [(True, 0.0), (True, 0.7), (False, 0.0), (False, 1.0)])
def test_ddim_equals_diffusers(network, spacing, clip, eta):
    scheduler = DDIMScheduler(
        beta_schedule="linear", clip_sample=clip, set_alpha_to_one=True, timestep_spacing=spacing, steps_offset=0
    )
    scheduler.alphas_cumprod = (1 - Linear().betas).cumprod(0)  # the same table in float64
    scheduler.set_timesteps(10)
    model = NetworkDenoiser(network, Linear(), Epsilon(), UniformEpsilon(), (1, 8, 8))
    start = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours = DDIM(10, eta, spacing, clip=clip).run(model, start, SharedNoise(2, 3))
    noise, theirs = SharedNoise(2, 3), start
    for t in scheduler.timesteps:
        with torch.no_grad():
            output = network(theirs, t.expand(3))
        last = t < 100
        theirs = scheduler.step(
            output,
            t,
            theirs,
            eta=eta,
            use_clipped_model_output=clip,
            variance_noise=torch.zeros_like(theirs) if eta == 0 or last else noise.normal(1, 8, 8),
        ).prev_sample
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_ddim_equals_diffusers_in_its_own_precision(network):
    scheduler = DDIMScheduler(beta_schedule="linear", timestep_spacing="trailing", steps_offset=0)
    scheduler.set_timesteps(20)
    model = NetworkDenoiser(network, Linear(), Epsilon(), UniformEpsilon(), (1, 8, 8))
    start = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours, theirs = DDIM(20).run(model, start, IndexedNoise(0, range(3))), start
    with torch.no_grad():
        for t in scheduler.timesteps:
            output = network(theirs, t.expand(3))
            theirs = scheduler.step(output, t, theirs, use_clipped_model_output=True).prev_sample
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("steps", [10, 8])
def test_ddpm_equals_diffusers_on_a_shorter_grid(network, variance, steps):
    """On the grid that ends at time 1: elsewhere diffusers adds noise in the last step, too."""
    scheduler = DDPMScheduler(beta_schedule="linear", variance_type=variance, timestep_spacing="leading")
    scheduler.alphas_cumprod = (1 - Linear().betas).cumprod(0)
    scheduler.set_timesteps(steps)
    model = NetworkDenoiser(network, Linear(), Epsilon(), UniformEpsilon(), (1, 8, 8))
    start = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours = DDPM(steps, variance, "leading").run(model, start, SharedNoise(2, 3))
    theirs, generator = start, torch.Generator().manual_seed(2)
    with torch.no_grad():
        for t in scheduler.timesteps:
            theirs = scheduler.step(network(theirs, t.expand(3)), t, theirs, generator=generator).prev_sample
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


# What every sampler shares


@pytest.mark.parametrize("sampler", [DDPM(20), DDIM(20), DDIM(20, eta=0.5)], ids=["ddpm", "ddim", "ddim_eta"])
def test_a_sample_does_not_depend_on_its_batch(sampler):
    model = GaussianDenoiser(0.3, 0.5, Linear(), (1, 4, 4))
    together = draw(sampler, model, range(7))
    apart = torch.cat([draw(sampler, model, part) for part in (range(2), range(2, 3), range(3, 7))])
    assert torch.equal(together, apart)
    assert not torch.equal(together, draw(sampler, model, range(7), seed=1))


def test_images_are_clipped_before_they_are_used():
    """A denoiser far out of range ends at the edge of the range, not beyond, and steps take the clipped image."""
    model = ConstantDenoiser(5.0, 0.0, Linear(), (2,))
    assert torch.equal(draw(DDPM(10), model), torch.ones(4, 2))
    assert torch.equal(draw(DDIM(10), model), torch.ones(4, 2))
    torch.testing.assert_close(draw(DDIM(10, clip=False), model), torch.full((4, 2), 5.0))
    t, s = Level(500, 0.6, 0.8), Level(400, 0.8, 0.6)
    sampler, x_t = DDIM(10), torch.tensor([[0.2]])
    epsilon = (0.2 - 0.6 * 1.0) / 0.8
    got = sampler.step(lambda x, level: torch.ones_like(x), x_t, t, s, IndexedNoise(0, [0])).x_s
    torch.testing.assert_close(got, torch.tensor([[0.8 * 1.0 + 0.6 * epsilon]]))


def test_variances_are_those_of_the_visited_times():
    levels = DDPM(10).levels(Linear())
    alpha, _ = Linear()(torch.tensor([900, 1000]), torch.float64)
    assert step_variance(levels[0], levels[1]) == pytest.approx(float(1 - (alpha[1] / alpha[0]) ** 2), rel=1e-9)
    assert posterior_variance(levels[-2], levels[-1]) == 0
    neighbours = DDPM(1000).levels(Linear())
    betas = [step_variance(t, s) for t, s in pairwise(neighbours)]
    torch.testing.assert_close(torch.tensor(betas[::-1], dtype=torch.float64), Linear().betas, rtol=1e-9, atol=1e-13)


def test_progress_counts_the_steps_and_the_denoiser_is_called_once_a_step():
    calls, model = [], GaussianDenoiser(0.0, 1.0, Linear(), (2,))
    noise = IndexedNoise(0, range(1))
    DDIM(5).run(model, noise.normal(2), noise, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert model.calls == 5


def test_a_trajectory_goes_from_the_start_to_the_result():
    sampler, model = DDIM(20), GaussianDenoiser(0.3, 0.1, Linear(), (1, 4, 4))
    start = sampler.start(model, IndexedNoise(0, range(3)))
    frames = sampler.trajectory(model, start, IndexedNoise(0, range(3)), frames=5)
    assert [frame.time for frame in frames] == [1000, 750, 500, 250, 0]
    torch.testing.assert_close(frames[0].x_t, start)
    assert torch.equal(frames[-1].x_t, sampler.run(model, start, IndexedNoise(0, range(3))))
    assert torch.equal(frames[-1].x_0, frames[-1].x_t)
    expected = model(frames[2].x_t, torch.full((3,), 500)).clamp(-1, 1)
    assert torch.equal(frames[2].x_0, expected)
    with pytest.raises(ValueError, match="frames must be at least 2, the start and the end, got 1"):
        sampler.trajectory(model, start, IndexedNoise(0, range(3)), frames=1)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"eta must lie in \[0, 1\], got 1.5"):
        DDIM(eta=1.5)
    with pytest.raises(
        ValueError, match="variance must be one of fixed_small, fixed_large, learned_range, got 'learned'"
    ):
        DDPM(variance="learned")
    with pytest.raises(ValueError, match=r"spacing must be one of leading, .*, got 'edm'"):
        DDIM(spacing="edm")
    with pytest.raises(TypeError, match="DDIM draws from a Denoiser, got Linear"):
        DDIM().start(torch.nn.Linear(1, 1), IndexedNoise(0, [0]))
    with pytest.raises(TypeError, match="DiffusionSampler must define step"):
        draw(DiffusionSampler(), GaussianDenoiser(0.0, 1.0, Linear()))
