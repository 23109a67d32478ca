"""The denoiser: three predictions are one function and one loss, whatever the weighting."""

from functools import partial

import pytest
import torch
from lightning import Trainer
from torch import nn
from torch.utils.data import DataLoader

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.contracts import Denoiser
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.exploding import NoiseLevel
from genexp.diffusion.prediction import Epsilon, Flow, Preconditioned, Sample, Velocity
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.weighting import (
    P2,
    MinSNR,
    TruncatedSNR,
    UniformEpsilon,
    UniformPreconditioned,
    UniformSample,
    UniformVelocity,
)
from genexp.families.diffusion import Diffusion
from genexp.tensors import expand_to

SHAPE = (1, 4, 4)
WEIGHTINGS = [UniformEpsilon(), UniformSample(), UniformVelocity(), TruncatedSNR(), MinSNR(5.0), P2(0.5)]
WEIGHTINGS += [UniformPreconditioned(0.4)]
PREDICTIONS = [Epsilon(), Sample(), Velocity(), Flow(), Preconditioned(0.4)]


class CleanNetwork(nn.Module):
    """A network that knows a clean image and answers in the space of a prediction."""

    def __init__(self, prediction, schedule):
        super().__init__()
        self.prediction, self.schedule = prediction, schedule
        self.weight = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, x_t, t, condition=UNCONDITIONAL):
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t + 1, x_t.dtype))
        x_t = x_t / self.prediction.input(torch.ones_like(alpha), alpha, sigma)
        clean = torch.tanh(self.weight * x_t)
        return self.prediction.target(clean, (x_t - alpha * clean) / sigma, alpha, sigma)


class Told(nn.Module):
    """A network that keeps what it was called with and what it said."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x_t, t, condition=UNCONDITIONAL):
        output = self.inside(x_t)
        self.seen = (x_t, t, output.detach())
        return output


class Recorder(nn.Module):
    def forward(self, x_t, t, condition=UNCONDITIONAL):
        self.seen = (x_t, t, condition)
        return torch.zeros_like(x_t)


def example(count=16, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64).to(dtype) * 2 - 1
    noise = torch.randn(count, *SHAPE, generator=generator, dtype=torch.float64).to(dtype)
    return x, torch.linspace(1, 1000, count).long(), noise


LINEAR, SIMPLE = Linear(), UniformEpsilon()


def clean_denoiser(prediction, weighting=SIMPLE, schedule=LINEAR):
    return NetworkDenoiser(CleanNetwork(prediction, schedule), schedule, prediction, weighting, SHAPE)


@pytest.mark.parametrize("schedule", [Linear(), Cosine()])
def test_all_predictions_give_the_same_denoiser(schedule):
    x, t, _ = example()
    results = [clean_denoiser(prediction, schedule=schedule)(x, t) for prediction in PREDICTIONS]
    for result in results:
        torch.testing.assert_close(result, torch.tanh(0.3 * x), rtol=0, atol=1e-7)


@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=lambda w: type(w).__name__)
def test_all_predictions_have_equal_losses_and_gradients(weighting):
    x, t, noise = example()
    losses, gradients = [], []
    for prediction in PREDICTIONS:
        denoiser = clean_denoiser(prediction, weighting)
        loss = denoiser.loss(x, t, noise)
        loss.mean().backward()
        losses.append(loss.detach())
        gradients.append(denoiser.network.weight.grad)
    for loss, gradient in zip(losses[1:], gradients[1:]):
        torch.testing.assert_close(loss, losses[0], rtol=1e-9, atol=0)
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-9, atol=0)


@pytest.mark.parametrize("prediction", PREDICTIONS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=lambda w: type(w).__name__)
def test_the_loss_is_the_weighted_error_of_the_clean_image(prediction, weighting):
    x, t, noise = example()
    denoiser = clean_denoiser(prediction, weighting)
    alpha, sigma = denoiser.schedule(t, torch.float64)
    clean = denoiser(expand_to(alpha, x) * x + expand_to(sigma, x) * noise, t)
    expected = weighting((alpha / sigma) ** 2) * (clean - x).square().flatten(1).mean(1)
    torch.testing.assert_close(denoiser.loss(x, t, noise), expected, rtol=1e-8, atol=0)


@pytest.mark.parametrize(
    ("prediction", "weighting"),
    [
        (Epsilon(), UniformEpsilon()),
        (Sample(), UniformSample()),
        (Velocity(), UniformVelocity()),
        (Preconditioned(0.3), UniformPreconditioned(0.3)),
    ],
)
def test_uniform_weightings_are_plain_squared_errors_of_the_target(prediction, weighting):
    x, t, noise = example(dtype=torch.float32)
    denoiser = NetworkDenoiser(Recorder(), Linear(), prediction, weighting, SHAPE)
    alpha, sigma = (expand_to(level, x) for level in denoiser.schedule(t))
    expected = prediction.target(x, noise, alpha, sigma).square().flatten(1).mean(1)
    torch.testing.assert_close(denoiser.loss(x, t, noise), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("prediction", PREDICTIONS, ids=lambda p: type(p).__name__)
def test_the_target_leads_back_to_the_clean_image(prediction):
    x, t, noise = example()
    alpha, sigma = (expand_to(level, x) for level in Cosine()(t, torch.float64))
    target = prediction.target(x, noise, alpha, sigma)
    torch.testing.assert_close(prediction.to_sample(target, alpha * x + sigma * noise, alpha, sigma), x)


def test_min_snr_weights_match_the_paper_in_every_space():
    snr = torch.tensor([0.01, 1.0, 4.0, 100.0], dtype=torch.float64)
    alpha, sigma = (snr / (1 + snr)).sqrt(), (1 / (1 + snr)).sqrt()
    least = snr.clamp(max=5.0)
    expected = {Sample: least, Epsilon: least / snr, Velocity: least / (snr + 1)}
    for prediction in PREDICTIONS:
        if type(prediction) in expected:
            weight = MinSNR(5.0)(snr) * prediction.scale(alpha, sigma) ** 2
            torch.testing.assert_close(weight, expected[type(prediction)])
    with pytest.raises(ValueError, match="gamma must be positive, got 0"):
        MinSNR(0)


def test_perception_first_weights_are_the_papers_and_none_at_gamma_zero():
    snr = torch.tensor([0.01, 1.0, 4.0, 100.0], dtype=torch.float64)
    torch.testing.assert_close(P2(0.5, 2.0)(snr), snr / (2 + snr).sqrt())
    assert torch.equal(P2(0)(snr), UniformEpsilon()(snr))
    with pytest.raises(ValueError, match="gamma must be at least 0, got -1"):
        P2(-1)
    with pytest.raises(ValueError, match="k must be above 0, got 0"):
        P2(1, 0)


def test_preconditioning_gives_the_network_inputs_and_targets_of_variance_one():
    """Karras et al., table 1, for alpha = 1, at three noise levels; data of the spread that was said."""
    torch.manual_seed(0)
    x, noise = 0.5 * torch.randn(20_000).double(), torch.randn(20_000).double()
    part, one = Preconditioned(0.5), torch.ones(1).double()
    for level in (0.01, 0.5, 80.0):
        sigma = level * one
        x_t, total = x + sigma * noise, level**2 + 0.25
        torch.testing.assert_close(part.input(x_t, one, sigma), x_t / total**0.5)
        target = part.target(x, noise, one, sigma)
        torch.testing.assert_close(target, (x - 0.25 / total * x_t) / (level * 0.5 / total**0.5))
        assert float(target.var()) == pytest.approx(1, abs=0.03)
        assert float(part.input(x_t, one, sigma).var()) == pytest.approx(1, abs=0.03)


def test_the_network_counts_times_from_zero_and_sees_the_noisy_image():
    network = Recorder()
    denoiser = NetworkDenoiser(network, Linear(), Epsilon(), UniformEpsilon(), SHAPE)
    x, t, noise = example(2, torch.float32)
    denoiser.loss(x, t, noise)
    x_t, time, condition = network.seen
    assert time.tolist() == [0, 999]
    assert condition == {}
    torch.testing.assert_close(x_t[0], 0.99995 * x[0] + 0.01 * noise[0], rtol=0, atol=1e-6)


def test_no_class_is_a_label_of_its_own():
    network = Recorder()
    denoiser = NetworkDenoiser(network, Linear(), Epsilon(), UniformEpsilon(), SHAPE, Conditioning.of(10))
    x, t, _ = example(2)
    denoiser(x, t)
    assert network.seen[2]["label"].tolist() == [10, 10]
    denoiser(x, t, {"label": torch.tensor([0, 3])})
    assert network.seen[2]["label"].tolist() == [0, 3]


def test_labels_without_classes_are_refused():
    denoiser = NetworkDenoiser(Recorder(), Linear(), Epsilon(), UniformEpsilon(), SHAPE)
    x, t, _ = example(2)
    with pytest.raises(ValueError, match="label must not be told to a model of no conditions"):
        denoiser(x, t, {"label": torch.tensor([0, 3])})


def test_half_precision_stays_inside_the_network():
    """Under autocast and for half images the noisy image and the loss are still float32."""
    network = nn.Conv2d(1, 1, 1, bias=False)
    call = Recorder()
    half = lambda x, t, condition: network(call(x, t, condition) + x)  # noqa: E731
    denoiser = NetworkDenoiser(half, Linear(), Velocity(), MinSNR(), SHAPE)
    x, t, noise = example(4, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert denoiser.loss(x.bfloat16(), t, noise.bfloat16()).dtype == torch.float32
        assert denoiser(x, t).dtype == torch.float32
    assert call.seen[0].dtype == torch.float32


@pytest.mark.parametrize("schedule", [Cosine(), NoiseLevel()], ids=["integer_times", "real_times"])
def test_a_bf16_run_has_the_noisy_images_of_an_fp32_run_to_the_last_bit(schedule):
    seen = []
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        inside = Told(nn.Linear(2, 2))
        model = Diffusion(inside, schedule, Preconditioned(), MinSNR(), partial(torch.optim.SGD, lr=0.0), (2,))
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(accelerator="cpu", max_epochs=1, precision=precision, enable_model_summary=False, **quiet)
        trainer.fit(model, DataLoader([{"image": torch.rand(64, 2) * 2 - 1}], batch_size=None))
        seen.append(inside.seen)
    (x_t, time, output), (half_x_t, half_time, half_output) = seen
    assert (output.dtype, half_output.dtype) == (torch.float32, torch.bfloat16)
    assert half_x_t.dtype == torch.float32
    assert torch.equal(x_t, half_x_t)
    assert torch.equal(time, half_time)


def test_it_is_a_denoiser_to_the_samplers():
    denoiser = clean_denoiser(Epsilon())
    assert isinstance(denoiser, Denoiser)
    assert denoiser.image_shape == SHAPE
