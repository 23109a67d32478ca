import copy

import pytest
import torch
from torch import nn

import tiny
from genexp.callbacks.averaging import Averaging


class Model(nn.Module):
    averaged_modules = ("network",)

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        self.other = nn.Linear(2, 2)
        self.images_seen, self.steps = 0, 0

    def steps_of(self, module):
        return self.steps


class Trainer:
    sanity_checking = False


def advance(averaging, model, images, step=True):
    model.images_seen += images
    model.steps += step
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter += 1
        model.network[1].running_mean += 1
    averaging.on_train_batch_end(Trainer, model)


def test_constant_half_life_equals_the_closed_form():
    model, averaging = Model(), Averaging(half_life=100, ramp_up=None)
    expected = model.network[0].weight.detach().clone()
    averaging.on_fit_start(Trainer, model)
    for _ in range(20):
        advance(averaging, model, 25)
        decay = 0.5 ** (25 / 100)
        expected = decay * expected + (1 - decay) * model.network[0].weight.detach()
    state = {}
    averaging.on_save_checkpoint(Trainer, model, state)
    averages = state["averaged"]["modules"]["network"]
    torch.testing.assert_close(averages["0.weight"], expected)
    assert torch.equal(averages["1.running_mean"], model.network[1].running_mean)


def test_the_average_is_the_same_at_every_batch_size_for_constant_weights_after_a_jump():
    results = []
    for batch in (10, 50):
        torch.manual_seed(0)
        model, averaging = Model(), Averaging(half_life=200, ramp_up=None)
        averaging.on_fit_start(Trainer, model)
        with torch.no_grad():
            model.network[0].weight.zero_()
        for _ in range(500 // batch):
            model.images_seen += batch
            model.steps += 1
            averaging.on_train_batch_end(Trainer, model)
        results.append(averaging.tracked[0].modules["network"]["0.weight"])
    torch.testing.assert_close(*results)


def test_ramp_up_forgets_the_initial_weights():
    model, averaging = Model(), Averaging(half_life=1e9, ramp_up=0.05)
    averaging.on_fit_start(Trainer, model)
    with torch.no_grad():
        model.network[0].weight.fill_(5.0)
    for _ in range(100):
        model.images_seen += 10
        model.steps += 1
        averaging.on_train_batch_end(Trainer, model)
    assert (averaging.tracked[0].modules["network"]["0.weight"] - 5).abs().max() < 1e-6


def test_a_module_that_was_not_updated_is_left_alone():
    model, averaging = Model(), Averaging(half_life=100, ramp_up=None)
    averaging.on_fit_start(Trainer, model)
    before = averaging.tracked[0].modules["network"]["0.weight"].clone()
    advance(averaging, model, 25, step=False)
    assert torch.equal(averaging.tracked[0].modules["network"]["0.weight"], before)
    advance(averaging, model, 25)
    decay = 0.5 ** (50 / 100)
    expected = decay * before + (1 - decay) * model.network[0].weight.detach()
    torch.testing.assert_close(averaging.tracked[0].modules["network"]["0.weight"], expected)


def test_validation_sees_the_average_and_training_gets_its_weights_back():
    model, averaging = Model(), Averaging(half_life=100, ramp_up=None)
    averaging.on_fit_start(Trainer, model)
    advance(averaging, model, 50)
    raw, average = model.network[0].weight.detach().clone(), averaging.tracked[0].modules["network"]["0.weight"].clone()
    averaging.on_validation_start(Trainer, model)
    assert torch.equal(model.network[0].weight, average)
    with pytest.raises(RuntimeError, match="averaged weights are in place"):
        averaging.on_save_checkpoint(Trainer, model, {})
    averaging.on_exception(Trainer, model, KeyboardInterrupt())
    assert torch.equal(model.network[0].weight, raw)
    averaging.on_validation_end(Trainer, model)
    assert torch.equal(model.network[0].weight, raw)


def test_several_rates_are_each_what_a_single_one_is_and_the_first_is_what_validation_sees():
    alone, stored = {}, {}
    for half_life in (100, 400):
        torch.manual_seed(0)
        model, averaging = Model(), Averaging(half_life, ramp_up=None)
        averaging.on_fit_start(Trainer, model)
        for _ in range(5):
            advance(averaging, model, 25)
        alone[half_life] = averaging.tracked[0].modules["network"]
    torch.manual_seed(0)
    model, averaging = Model(), Averaging([100, 400], ramp_up=None)
    averaging.on_fit_start(Trainer, model)
    for _ in range(3):
        advance(averaging, model, 25)
    averaging.on_save_checkpoint(Trainer, model, stored)
    resumed = Averaging([100, 400], ramp_up=None)
    resumed.on_load_checkpoint(Trainer, model, copy.deepcopy(stored))
    resumed.on_fit_start(Trainer, model)
    for _ in range(2):
        advance(resumed, model, 25)
    for tracked, half_life in zip(resumed.tracked, alone, strict=True):
        assert tiny.differences(tracked.modules["network"], alone[half_life]) == []
    resumed.on_validation_start(Trainer, model)
    assert torch.equal(model.network[0].weight, alone[100]["0.weight"])


def test_a_checkpoint_of_one_rate_begins_the_first_of_several():
    torch.manual_seed(0)
    model, averaging, stored = Model(), Averaging(100, ramp_up=None), {}
    averaging.on_fit_start(Trainer, model)
    advance(averaging, model, 25)
    averaging.on_save_checkpoint(Trainer, model, stored)
    old = {name: stored["averaged"][name] for name in ("modules", "images", "steps")}  # all that versions before had
    several = Averaging([100, 400], ramp_up=None)
    several.on_load_checkpoint(Trainer, model, {"averaged": old})
    several.on_fit_start(Trainer, model)
    assert tiny.differences(several.tracked[0].modules, averaging.tracked[0].modules) == []
    assert torch.equal(several.tracked[1].modules["network"]["0.weight"], model.network[0].weight)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="half_life must be a positive"):
        Averaging(half_life=0)
    with pytest.raises(ValueError, match="half_life must have every number once"):
        Averaging(half_life=[5, 5.0])
    with pytest.raises(ValueError, match="ramp_up must be positive"):
        Averaging(half_life=1, ramp_up=0)
