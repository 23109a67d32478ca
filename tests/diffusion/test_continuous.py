"""Schedules of real times: levels, inverses, and models that learn on them, with parts that nothing else knows of."""

from functools import partial

import pytest
import torch
from lightning import Trainer
from torch.utils.data import DataLoader

from genexp.diffusion.continuous import Continuous, LinearContinuous, RectifiedFlow
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Epsilon, Flow, Prediction, Velocity
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.weighting import UniformEpsilon, UniformFlow
from genexp.families.diffusion import Diffusion
from genexp.networks.mlp import MLPDenoiser
from genexp.sampling.ddim import DDIM
from genexp.tensors import IndexedNoise

SCHEDULES = [RectifiedFlow(), LinearContinuous()]
named = partial(pytest.mark.parametrize, ids=lambda part: type(part).__name__)


class Exploding(Continuous):
    """x_t = x + t eps up to t = 80, trained at log-normal times (Karras et al., 2022, table 1); not in the house."""

    last = 80.0

    def levels(self, t):
        return torch.ones_like(t), t

    def times(self, place):
        return (1.2 * torch.special.ndtri(place) - 1.2).exp().clamp(self.first, self.last)

    def embedded(self, t):
        return t.log() / 4

    def at_snr(self, log_snr):
        return (-log_snr.double() / 2).exp()


class Preconditioned(Prediction):
    """D(x) = c_skip x_t + c_out F(c_in x_t), which keeps input and target of F at variance 1 (the same table)."""

    spread = 0.5

    def _factors(self, alpha, sigma):
        total = sigma**2 + self.spread**2 * alpha**2
        return alpha * self.spread**2 / total, sigma * self.spread / total.sqrt(), 1 / total.sqrt()

    def input(self, x_t, alpha, sigma):
        return self._factors(alpha, sigma)[2] * x_t

    def target(self, x, noise, alpha, sigma):
        skip, out, _ = self._factors(alpha, sigma)
        return (x - skip * (alpha * x + sigma * noise)) / out

    def to_sample(self, output, x_t, alpha, sigma):
        skip, out, _ = self._factors(alpha, sigma)
        return skip * x_t + out * output

    def scale(self, alpha, sigma):
        return self._factors(alpha, sigma)[1]


@named("schedule", SCHEDULES)
def test_signal_falls_noise_rises_and_time_zero_is_the_data(schedule):
    alpha, sigma = schedule(torch.linspace(0, 1, 101, dtype=torch.float64), torch.float64)
    assert (alpha[0], sigma[0]) == (1, 0)
    assert (alpha.diff() < 0).all()
    assert (sigma.diff() > 0).all()


@named("schedule", [*SCHEDULES, Exploding(), Linear(), Cosine(50)])
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
    text = rf"prediction must lead back .*, got {type(prediction).__name__} with RectifiedFlow: {value}"
    with pytest.raises(ValueError, match=text):
        NetworkDenoiser(torch.nn.Identity(), RectifiedFlow(), prediction, UniformEpsilon(), (1,))


# Models that learn

PARTS = {
    "flow": (RectifiedFlow(), Flow(), UniformFlow()),
    "linear": (LinearContinuous(), Epsilon(), UniformEpsilon()),
    "exploding": (Exploding(), Preconditioned(), lambda snr: snr + 1 / Preconditioned.spread**2),
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
