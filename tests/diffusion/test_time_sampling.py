"""At which times a model is trained: the laws' shapes, unbiased importance, and a history that goes on after a stop."""

from functools import partial

import pytest
import torch
from lightning import Trainer
from torch import nn
from torch.utils.data import DataLoader

from genexp.conditioning.base import UNCONDITIONAL
from genexp.diffusion.continuous import CosineContinuous, RectifiedFlow
from genexp.diffusion.exploding import NoiseLevel
from genexp.diffusion.prediction import Epsilon
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.time_sampling import LogitNormal, LogNormal, LossSecondMoment, Stratified, Uniform
from genexp.diffusion.weighting import UniformEpsilon
from genexp.families.diffusion import Diffusion

PLACES = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000


@pytest.mark.parametrize("schedule", [Linear(), RectifiedFlow(), NoiseLevel()], ids=lambda part: type(part).__name__)
def test_uniform_times_are_those_of_the_schedule_to_the_last_bit(schedule):
    place = torch.rand(64)
    t, weight = Uniform().draw(place, schedule)
    assert weight is None
    assert torch.equal(t, schedule.times(place))


@pytest.mark.parametrize("schedule", [NoiseLevel(), CosineContinuous(), Linear()], ids=lambda part: type(part).__name__)
def test_log_normal_noise_levels_have_the_mean_and_spread_that_were_said(schedule):
    t, _ = LogNormal(-1.2, 0.8).draw(PLACES, schedule)
    level = -schedule.log_snr(t) / 2
    assert float(level.mean()) == pytest.approx(-1.2, abs=1e-3)
    assert float(level.std()) == pytest.approx(0.8, abs=1e-3)


def test_a_logit_normal_is_one_and_what_is_outside_the_schedule_becomes_its_ends():
    t, _ = LogitNormal(0.5, 0.7).draw(PLACES, RectifiedFlow())
    assert float(t.logit().mean()) == pytest.approx(0.5, abs=1e-3)
    assert float(t.logit().std()) == pytest.approx(0.7, abs=1e-3)
    ends = torch.tensor([0.0, 1 - 2**-24])
    for law in (LogNormal(), LogitNormal(3.0, 5.0)):
        for schedule in (Linear(30), RectifiedFlow(), NoiseLevel(), CosineContinuous()):
            t, _ = law.draw(ends, schedule)
            assert (t >= schedule.first).all()
            assert (t <= schedule.last).all()
            assert t.dtype == (torch.int64 if schedule.discrete else torch.float32)


def test_strata_hold_one_time_each_of_any_law():
    place = torch.rand(10)
    t, weight = Stratified().draw(place, Linear(1000))
    assert weight is None
    assert ((t - 1) // 100).tolist() == list(range(10))
    t, _ = Stratified(LogitNormal()).draw(place, RectifiedFlow())
    quantile = torch.special.ndtr(t.double().logit())
    assert (quantile * 10).long().tolist() == list(range(10))


def warm(steps=4, history=3):
    """A history in which time t has had the losses t, 2 t and 3 t, in turn with others."""
    law = LossSecondMoment(history, uniform=0.01)
    law.begin(Cosine(steps))
    times = torch.arange(1, steps + 1)
    for factor in range(history + 1):
        law.learn(times.flip(0), (factor * times.flip(0)).float())
    return law


def test_important_times_are_drawn_as_often_as_their_losses_are_large_and_count_less_in_return():
    law, size = warm(), torch.tensor([1.0, 2, 3, 4])
    expected = 0.99 * size / 10 + 0.01 / 4
    torch.testing.assert_close(law.probabilities(), expected)
    t, weight = law.draw(PLACES.float(), Cosine(4))
    torch.testing.assert_close(torch.bincount(t - 1) / len(t), expected, rtol=0, atol=1e-4)
    loss = torch.tensor([5.0, -1.0, 2.0, 7.0])
    assert float((weight * loss[t - 1]).mean()) == pytest.approx(float(loss.mean()), abs=2e-3)


def test_times_are_uniform_until_all_have_a_history_and_the_oldest_loss_goes_first():
    law, schedule = LossSecondMoment(2), Cosine(3)
    law.begin(schedule)
    place = torch.rand(8)
    law.learn(torch.tensor([1, 1, 2, 3, 3, 3]), torch.tensor([1.0, 2, 3, 4, 5, 6]))
    assert not law.known()
    t, weight = law.draw(place, schedule)
    assert torch.equal(t, schedule.times(place))
    assert weight.tolist() == [1] * 8
    law.learn(torch.tensor([2, 1]), torch.tensor([7.0, 8.0]))
    assert [sorted(row) for row in law.losses.tolist()] == [[2, 8], [3, 7], [5, 6]]
    assert law.known()


def test_laws_that_cannot_be_are_refused():
    for law in (LossSecondMoment(), Stratified(LossSecondMoment())):
        with pytest.raises(
            ValueError, match=r"time_sampling must be another .*, got LossSecondMoment with RectifiedFlow"
        ):
            law.begin(RectifiedFlow())
    with pytest.raises(ValueError, match="std must be above 0, got 0"):
        LogNormal(std=0)
    with pytest.raises(ValueError, match="std must be above 0, got -1"):
        LogitNormal(std=-1)
    with pytest.raises(ValueError, match="history must be at least 1, got 0"):
        LossSecondMoment(0)
    with pytest.raises(ValueError, match=r"uniform must lie in \(0, 1\], got 0"):
        LossSecondMoment(uniform=0)
    with pytest.raises(ValueError, match="law must be another than Stratified"):
        Stratified(Stratified())


class Told(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(2, 1), []

    def forward(self, x_t, t, condition=UNCONDITIONAL):
        self.seen.append(t)
        return self.layer(torch.stack([x_t[:, 0], t / 4], 1))


def fitted(batches, accumulate=1, before=None):
    """A model after some batches, on from the checkpoint of another."""
    torch.manual_seed(0)
    parts = (Told(), Cosine(4), Epsilon(), UniformEpsilon(), partial(torch.optim.SGD, lr=0.1), (1,))
    model = Diffusion(*parts, time_sampling=Stratified(LossSecondMoment(2))).arrange(accumulate=accumulate)
    if before is not None:
        model.load_state_dict(before["state_dict"])
        model.on_load_checkpoint(before)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_epochs=1, enable_model_summary=False, **quiet)
    trainer.fit(model, DataLoader(batches, batch_size=None))
    saved = {"state_dict": {name: value.clone() for name, value in model.state_dict().items()}}
    model.on_save_checkpoint(saved)
    return model, saved


def test_the_history_is_in_the_checkpoint_and_micro_batches_change_nothing():
    torch.manual_seed(1)
    batches = [{"image": torch.randn(8, 1)} for _ in range(6)]
    whole, at_end = fitted(batches)
    assert whole.time_sampling.law.known()
    _, half = fitted(batches[:3])
    resumed, again = fitted(batches[3:], before=half)
    assert all(torch.equal(at_end["state_dict"][name], value) for name, value in again["state_dict"].items())
    assert torch.equal(torch.cat(resumed.network.seen), torch.cat(whole.network.seen[3:]))
    _, cut = fitted(batches, accumulate=4)
    for name, value in cut["state_dict"].items():
        torch.testing.assert_close(value, at_end["state_dict"][name], rtol=1e-5, atol=1e-6)
