import copy
import math

import pytest
import torch
from torch import nn

from genexp.callbacks.power_averages import PowerAverages
from genexp.callbacks.power_function import WIDEST, Profile, combination, decay, gamma_of, overlap, width_of
from genexp.config.weights_choice import WeightsChoice, is_choice
from genexp.inference.recovery import MOST_ERROR, averages_of

WIDTHS = (0.05, 0.1)


class Terms:
    def require_finite(self):
        pass


class Model(nn.Module):
    """A path through weights that is known: parameter i is at i-th power of the time, the other module stands still."""

    averaged_modules = ("network", "other")
    terms = Terms()

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network, self.other = nn.BatchNorm1d(3).double(), nn.Linear(2, 2).double()
        self.images_seen, self.steps = 0, {"network": 0, "other": 0}

    def steps_of(self, module):
        return self.steps[module]

    @torch.no_grad()
    def advance(self, images, also_other=False):
        self.images_seen += images
        self.steps["network"] += 1
        self.steps["other"] += also_other
        time = torch.tensor(self.images_seen / 2000, dtype=torch.float64)
        self.network.weight.copy_(torch.stack([time, (9 * time).sin(), torch.ones(())]))
        self.network.running_mean += 1
        if also_other:
            self.other.bias.fill_(float(time))


class Trainer:
    is_global_zero = True

    def __init__(self, folder):
        self.default_root_dir = str(folder)


def trained(folder, widths=WIDTHS, every=100, images=2000, batch=20, stop=None, checkpoint=None):
    """The callback and what a checkpoint of it holds after so many images, possibly from another checkpoint."""
    model, averages, stored = Model(), PowerAverages(widths, every), {}
    if checkpoint is not None:
        averages.on_load_checkpoint(Trainer(folder), model, copy.deepcopy(checkpoint))
        model.images_seen = stop
        model.steps = dict(checkpoint["post_hoc"]["averages"][0]["steps"])
    averages.on_fit_start(Trainer(folder), model)
    while model.images_seen < images:
        model.advance(batch, also_other=model.images_seen // batch % 7 == 5)
        averages.on_train_batch_end(Trainer(folder), model)
    averages.on_save_checkpoint(Trainer(folder), model, stored)
    return copy.deepcopy(stored)


def recovered(checkpoint, width, folder):
    return averages_of(checkpoint, WeightsChoice("post_hoc", width), folder)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 6.94, 16.97, 97.0])
def test_a_width_is_the_deviation_of_its_profile_and_leads_back_to_its_exponent(gamma):
    tau = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    density = (gamma + 1) * tau**gamma
    mean = torch.trapezoid(tau * density, tau)
    deviation = torch.trapezoid((tau - mean) ** 2 * density, tau).sqrt()
    assert width_of(gamma) == pytest.approx(float(deviation), abs=1e-8)
    assert gamma_of(width_of(gamma)) == pytest.approx(gamma, abs=1e-9)


def test_the_plain_mean_is_the_widest_and_nothing_is_wider():
    assert gamma_of(WIDEST) == 0
    for width in (0.0, 0.3, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"width must be above 0 and at most 0\.2887"):
            gamma_of(width)


def test_an_average_is_the_integral_of_its_profile_over_weights_that_stay_between_updates():
    times, gamma, average = [20, 50, 90, 120], 6.9, 0.0
    weights = [0.3, -1.0, 2.0, 0.7]
    for before, now, weight in zip([0, *times], times, weights, strict=False):
        beta = decay(gamma, before, now)
        average = beta * average + (1 - beta) * weight
    shares = [(now / 120) ** (gamma + 1) - (before / 120) ** (gamma + 1) for before, now in zip([0, *times], times)]
    assert sum(shares) == pytest.approx(1, abs=1e-15)
    assert average == pytest.approx(sum(w * s for w, s in zip(weights, shares, strict=True)), abs=1e-14)


@pytest.mark.parametrize(("one", "other"), [((70, 6.9), (100, 1.8)), ((100, 0.0), (30, 17.0)), ((9, 2.0), (9, 5.0))])
def test_the_overlap_of_two_profiles_is_the_integral_of_their_product(one, other):
    (a, gamma), (b, delta) = one, other
    tau = torch.linspace(0, min(a, b), 400_001, dtype=torch.float64)
    product = (gamma + 1) * tau**gamma / a ** (gamma + 1) * (delta + 1) * tau**delta / b ** (delta + 1)
    assert overlap(Profile(*one), Profile(*other)) == pytest.approx(float(torch.trapezoid(product, tau)), rel=1e-7)


def test_factors_sum_to_one_and_more_moments_come_nearer():
    errors = []
    for moments in (4, 12, 36):
        known = [Profile(100 * (i + 1), gamma_of(width)) for i in range(moments) for width in WIDTHS]
        factors, error = combination(known, Profile(100 * moments, gamma_of(0.15)))
        assert sum(factors) == pytest.approx(1, abs=1e-12)
        errors.append(error)
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.1
    assert errors[-1] < 2e-3


@pytest.mark.parametrize("width", [0.04, 0.15])
def test_a_recovered_average_is_the_one_that_was_followed_within_the_bound_of_its_profile(width, tmp_path):
    """|difference| <= |profile - what stands for it| |weights - any constant|, both over time: Cauchy and Schwarz."""
    direct = trained(tmp_path / "a", (width,), every=10**9)["post_hoc"]["averages"][0]["modules"]
    (tmp_path / "b").mkdir()
    checkpoint = trained(tmp_path / "b")
    got = recovered(checkpoint, width, tmp_path / "b")
    wanted = Profile(2000, gamma_of(width))
    known = [Profile(100 * (i + 1), gamma_of(each)) for i in range(20) for each in WIDTHS]
    distance = combination(known, wanted)[1] * math.sqrt(overlap(wanted, wanted))
    times = torch.arange(20, 2001, 20, dtype=torch.float64) / 2000
    paths = torch.stack([times, (9 * times).sin()])
    bound = distance * (20 * (paths - paths.mean(1, keepdim=True)).square().sum(1)).sqrt()
    error = (got["network"]["weight"] - direct["network"]["weight"]).abs()
    assert (error[:2] <= bound + 1e-12).all()
    assert error[:2].max() < 5e-3
    assert error[2] < 1e-12  # a weight that never moves is averaged exactly
    assert (got["other"]["weight"] - direct["other"]["weight"]).abs().max() < 1e-12
    assert (got["other"]["bias"] - direct["other"]["bias"]).abs().max() < 1e-2  # it has moments of its own
    assert "running_mean" not in got["network"]  # buffers are those of the last weights


def test_a_width_that_was_followed_is_given_back_as_it_is(tmp_path):
    checkpoint = trained(tmp_path)
    for width, average in zip(WIDTHS, checkpoint["post_hoc"]["averages"], strict=True):
        assert recovered(checkpoint, width, tmp_path) is average["modules"]
    first = trained(tmp_path, images=20)["post_hoc"]["averages"][0]["modules"]["network"]["weight"]
    model = Model()
    model.advance(20)
    assert torch.equal(first, model.network.weight)  # nothing is left of the first weights


def test_a_run_that_goes_on_from_a_checkpoint_leaves_the_same_bytes(tmp_path):
    for name in ("straight", "parted"):
        (tmp_path / name).mkdir()
    straight = trained(tmp_path / "straight")
    half = trained(tmp_path / "parted", images=1060)
    trained(tmp_path / "parted", images=1400, stop=1060, checkpoint=half)  # came further and was killed
    parted = trained(tmp_path / "parted", stop=1060, checkpoint=half)
    files = [{p.name: p.read_bytes() for p in (tmp_path / n / "averages").iterdir()} for n in ("straight", "parted")]
    assert files[0] == files[1]
    assert len(files[0]) == 20
    assert parted["post_hoc"]["snapshots"] == straight["post_hoc"]["snapshots"]
    one, other = (recovered(each, 0.15, tmp_path / "parted") for each in (straight, parted))
    assert torch.equal(one["network"]["weight"], other["network"]["weight"])


def test_what_cannot_be_recovered_is_refused_with_the_reason(tmp_path):
    checkpoint = trained(tmp_path, every=500)
    with pytest.raises(ValueError, match=rf"make up to {MOST_ERROR:.0%}, got post_hoc@0.01, off by \d+%.*every"):
        recovered(checkpoint, 0.01, tmp_path)
    with pytest.raises(ValueError, match=r"of one: width must be above 0 and at most 0\.2887"):
        recovered(checkpoint, 0.4, tmp_path)
    with pytest.raises(ValueError, match=r"of a run without callbacks/post_hoc=power, got post_hoc@0\.1"):
        recovered({}, 0.1, tmp_path)
    (first, *_) = sorted((tmp_path / "averages").iterdir())
    content = bytearray(first.read_bytes())
    content[-1] ^= 1
    first.write_bytes(content)
    with pytest.raises(ValueError, match=r"must have the SHA-256 .*it is damaged"):
        recovered(checkpoint, 0.07, tmp_path)
    first.unlink()
    with pytest.raises(FileNotFoundError, match="needs every snapshot of the checkpoint, got none at"):
        recovered(checkpoint, 0.07, tmp_path)


@pytest.mark.parametrize(
    ("widths", "rule"),
    [([], "one or several different"), ([0.1, 0.1], "one or several different"), ([0.1, 0.4], "at most 0.2887")],
)
def test_widths_that_cannot_be_followed_are_refused(widths, rule):
    with pytest.raises(ValueError, match=f"widths must .*{rule}"):
        PowerAverages(widths, 100)


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("averaged", "averaged"),
        ("raw", "raw"),
        ("averaged@20_000", "averaged@20000"),
        ("averaged@2e4", "averaged@20000"),
        ("averaged@0.5", "averaged@0.5"),
        ("post_hoc@.10", "post_hoc@0.1"),
    ],
)
def test_a_choice_of_weights_has_one_way_to_be_written(typed, written):
    assert str(WeightsChoice.read(typed)) == written
    assert str(WeightsChoice.read(written)) == written


@pytest.mark.parametrize(
    "typed", ["mean", "raw@1", "post_hoc", "averaged@0", "post_hoc@-0.1", "averaged@1e999", "averaged@ 1"]
)
def test_other_words_are_no_choice_of_weights(typed):
    assert not is_choice(typed)


def test_averages_of_several_rates_are_chosen_by_their_half_life():
    states = [{"modules": {"network": {"weight": torch.tensor(float(i))}}, "images": {}, "steps": {}} for i in range(2)]
    checkpoint = {"averaged": states[0] | {"half_lives": [100.0, 400.0], "others": states[1:]}}
    for typed, value in (("averaged", 0), ("averaged@100", 0), ("averaged@400", 1)):
        assert averages_of(checkpoint, WeightsChoice.read(typed), None)["network"]["weight"] == value
    assert averages_of(checkpoint, WeightsChoice.read("raw"), None) == {}
    assert averages_of({}, WeightsChoice.read("averaged"), None) == {}
    with pytest.raises(ValueError, match="raw, averaged or averaged@100, averaged@400, got averaged@7"):
        averages_of(checkpoint, WeightsChoice.read("averaged@7"), None)
    with pytest.raises(ValueError, match="weights must be raw, got averaged@7"):
        averages_of({}, WeightsChoice.read("averaged@7"), None)
