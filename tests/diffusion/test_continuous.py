"""Schedules of real times: levels, inverses, and models that learn on them, with parts that nothing else knows of."""

from functools import partial

import pytest
import torch
from lightning import Trainer
from torch.utils.data import DataLoader

from genexp.diffusion.continuous import CosineContinuous, LinearContinuous, RectifiedFlow
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.exploding import Exploding, NoiseLevel
from genexp.diffusion.prediction import Epsilon, Flow, Preconditioned, Velocity
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.weighting import UniformEpsilon, UniformFlow, UniformPreconditioned
from genexp.families.diffusion import Diffusion
from genexp.networks.mlp import MLPDenoiser
from genexp.sampling.ddim import DDIM
from genexp.tensors import IndexedNoise

SCHEDULES = [RectifiedFlow(), LinearContinuous(), CosineContinuous(), NoiseLevel(), Exploding()]
named = partial(pytest.mark.parametrize, ids=lambda part: type(part).__name__)


@named("schedule", SCHEDULES)
def test_signal_falls_noise_rises_and_time_zero_is_the_data(schedule):
    alpha, sigma = schedule(schedule.last * torch.linspace(0, 1, 101, dtype=torch.float64), torch.float64)
    assert (alpha[0], sigma[0]) == (1, 0)
    assert (alpha.diff() <= 0).all()
    assert (sigma.diff() > 0).all()
    assert ((alpha / sigma).diff()[1:] < 0).all()


@named("schedule", [*SCHEDULES, Linear(), Cosine(50)])
def test_times_are_found_again_by_their_logarithm_of_the_signal_to_noise_ratio(schedule):
    t = torch.tensor([1, 2, 30, 50]) if schedule.discrete else torch.tensor([1e-5, 1e-3, 0.3, 0.99]).double()
    alpha, sigma = schedule(t, torch.float64)
    torch.testing.assert_close(schedule.log_snr(t), (alpha**2 / sigma**2).log())
    torch.testing.assert_close(schedule.at_snr(schedule.log_snr(t)), t.double(), rtol=1e-9, atol=0)


def test_between_integer_times_lies_what_lies_between_their_logarithms():
    schedule = Linear()
    near = schedule.log_snr(torch.tensor([400, 401]))
    assert float(schedule.at_snr(near.mean()[None])) == pytest.approx(400.5)
    beyond = schedule.at_snr(torch.tensor([1e3, -1e3]))
    assert beyond.tolist() == [1, 1000]


def test_linear_variances_in_real_time_are_the_limit_of_many_steps():
    steps = 100_000
    t = torch.tensor([100, 30_000, steps])
    fine = Linear(steps)(t, torch.float64)
    limit = LinearContinuous()(t.double() / steps, torch.float64)
    for ours, expected in zip(limit, fine, strict=True):
        torch.testing.assert_close(ours, expected, rtol=2e-3, atol=0)


def test_a_circle_ends_at_the_signal_to_noise_ratio_that_was_chosen():
    last = torch.ones(1, dtype=torch.float64)
    assert float(CosineContinuous(last_log_snr=-8.0).log_snr(last)) == pytest.approx(-8, abs=1e-12)
    assert float(CosineContinuous()(last)[0]) == pytest.approx(4.54e-5, rel=1e-3)


def test_the_exploding_variance_is_the_integral_of_its_sde():
    """g(t)^2 = lowest^2 (highest / lowest)^(2 t) 2 log(highest / lowest), by the midpoint rule."""
    schedule, count = Exploding(0.02, 100.0), 200_000
    middle = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    rate = 0.02**2 * 5000 ** (2 * middle) * 2 * torch.tensor(5000.0).double().log()
    _, sigma = schedule(torch.tensor([0.25, 1.0]).double(), torch.float64)
    added = torch.stack([rate[: count // 4].sum(), rate.sum()]) / count
    torch.testing.assert_close(sigma**2, added, rtol=1e-6, atol=0)


def test_training_times_of_noise_levels_are_even_in_their_logarithm():
    times = NoiseLevel(0.002, 80.0).times(torch.linspace(0, 1, 5, dtype=torch.float64))
    assert (float(times[0]), float(times[-1])) == pytest.approx((0.002, 80.0))
    torch.testing.assert_close(times.log().diff(), torch.full((4,), 40_000.0).double().log() / 4)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: NoiseLevel(lowest=90), "lowest must be positive and below highest, 80, got 90"),
        (lambda: Exploding(lowest=0), "lowest must be positive and below highest, 100, got 0"),
        (lambda: Exploding(lowest=200), "lowest must be positive and below highest, 100, got 200"),
        (lambda: CosineContinuous(last_log_snr=1), r"last_log_snr must lie in \(-700, 0\), got 1"),
        (lambda: Preconditioned(0), "data_std must be above 0, got 0"),
        (lambda: UniformPreconditioned(-1), "data_std must be above 0, got -1"),
    ],
)
def test_impossible_parts_are_refused(build, text):
    with pytest.raises(ValueError, match=text):
        build()


@named("schedule", SCHEDULES)
def test_levels_are_right_in_single_precision_and_under_autocast(schedule):
    t = torch.tensor([1e-5, 1e-3, 0.5, 0.999])
    exact = schedule(t.double(), torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        levels = schedule(t)
    for ours, expected in zip(levels, exact, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), expected, rtol=3e-6, atol=0)


def test_the_loss_of_a_flow_is_the_squared_error_of_its_velocity():
    x, noise, t = (*torch.randn(2, 8, 3).double(), torch.rand(8).double())
    network = torch.nn.Linear(3, 3).double()
    denoiser = NetworkDenoiser(lambda x_t, *_: network(x_t), RectifiedFlow(), Flow(), UniformFlow(), (3,))
    velocity = network((1 - t)[:, None] * x + t[:, None] * noise)
    expected = (velocity - (noise - x)).square().mean(1)
    torch.testing.assert_close(denoiser.loss(x, t, noise), expected)


@pytest.mark.parametrize(
    ("prediction", "value"), [(Epsilon(), "nan for 1 at time 1"), (Velocity(), "0.5 for 1 at time 0.5")]
)
def test_predictions_that_do_not_fit_a_schedule_are_refused(prediction, value):
    value = f"{value}.*; these fit this schedule: model/prediction=sample, flow, edm$"
    text = rf"prediction must lead back .*, got {type(prediction).__name__} with RectifiedFlow: {value}"
    with pytest.raises(ValueError, match=text):
        NetworkDenoiser(torch.nn.Identity(), RectifiedFlow(), prediction, UniformEpsilon(), (1,))


# Models that learn

PARTS = {
    "flow": (RectifiedFlow(), Flow(), UniformFlow()),
    "linear": (LinearContinuous(), Epsilon(), UniformEpsilon()),
    "exploding": (NoiseLevel(), Preconditioned(), UniformPreconditioned()),
}

SPACING = {"flow": "trailing", "linear": "trailing", "exploding": "log_snr"}


@pytest.mark.parametrize("name", PARTS)
def test_a_model_learns_at_all_times_and_draws_its_data(name):
    """Two points, as far apart as they come: a model that knows only the last time draws their mean."""
    torch.manual_seed(0)
    optimizer = partial(torch.optim.Adam, lr=1e-2)
    model = Diffusion(MLPDenoiser((1,), 64, 2), *PARTS[name], optimizer, (1,))
    data = [{"image": torch.where(torch.rand(256, 1) < 0.5, -0.6, 0.6)} for _ in range(120)]
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_epochs=1, enable_model_summary=False, **quiet)
    trainer.fit(model, DataLoader(data, batch_size=None))
    sampler, noise = DDIM(40, spacing=SPACING[name], clip=False), IndexedNoise(0, range(400))
    drawn = sampler.run(model.source(), sampler.start(model.source(), noise), noise)
    assert float(drawn.abs().median()) == pytest.approx(0.6, abs=0.06)
    assert float((drawn > 0).float().mean()) == pytest.approx(0.5, abs=0.12)
