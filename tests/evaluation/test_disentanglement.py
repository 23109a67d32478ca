"""Gap and DCI of codes whose values are known, and the likelihood of foreign data."""

import json
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score, roc_auc_score

import tiny
from genexp.commands.evaluate import evaluate
from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.config.compose import compose
from genexp.data.shapes import FACTORS, Shapes
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.disentanglement import Disentanglement, disentangled
from genexp.evaluation.metrics.out_of_distribution import OutOfDistribution, auroc
from genexp.evaluation.over_model import scores_of_model

LEVELS = torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(3)).repeat(40, 1)
KNOWN = {name: LEVELS[:, place] for place, name in enumerate(("a", "b", "c"))}


class Encoder:
    latent_shape, conditioning = (3,), Conditioning()

    def __init__(self, code):
        self.code = code

    def encode(self, image, condition=UNCONDITIONAL):
        return self.code(image)

    def decode(self, latent, condition=UNCONDITIONAL):
        return latent

    def latents(self, batch, noise):
        return self.encode(batch["image"])


def measured(code, factors=KNOWN, **settings):
    def batches():
        return ({"image": part} for part in LEVELS.float().split(100))

    data = ImageSet("val", "d" * 64, len(LEVELS), (3,), batches, factors=factors)
    return scores_of_model({"it": Disentanglement(**settings)}, Encoder(code), lambda split: data, 0, "raw")


def values(scores):
    return {name: score.value.value for name, score in scores.items()}


def test_one_unit_a_factor_scores_1_whatever_order_sign_and_scale():
    scores = measured(lambda x: torch.stack([-3 * x[:, 2], x[:, 0] + 7, x[:, 1] / 10], 1))
    assert list(values(scores)) == list(Disentanglement.values)
    assert values(scores) == pytest.approx(dict.fromkeys(Disentanglement.values, 1.0))
    assert scores["mig"].value.details == pytest.approx({"gap_a": 1, "gap_b": 1, "gap_c": 1})
    assert len(scores["mig"].value.draws) == 20
    assert scores["mig"].protocol.settings == "Disentanglement(bins=20, split='val', trees=20): latents of 3"


def test_two_factors_turned_by_45_degrees_leave_no_gap_and_no_disentangled_units():
    """z = (a + b, a - b) takes 3 values: each unit knows half a bit of each, so both gaps are 0 and that of c is 1."""
    scores = measured(lambda x: torch.stack([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1], x[:, 2]], 1))
    found = values(scores)
    assert found["mig"] == pytest.approx(1 / 3)
    assert scores["mig"].value.details == pytest.approx({"gap_a": 0, "gap_b": 0, "gap_c": 1}, abs=1e-12)
    assert found["dci_informativeness"] == 1
    assert found["dci_disentanglement"] < 0.6
    assert found["dci_completeness"] < 0.6


def test_a_factor_in_two_units_and_two_factors_in_one_unit():
    twice = measured(lambda x: torch.stack([x[:, 0], x[:, 0], x[:, 1]], 1))["mig"].value.details
    assert twice == pytest.approx({"gap_a": 0, "gap_b": 1, "gap_c": 0}, abs=1e-12)
    both = values(measured(lambda x: torch.stack([x[:, 0] + 2 * x[:, 1], x[:, 2], 0 * x[:, 0]], 1)))
    assert both["mig"] == pytest.approx(1)
    assert both["dci_completeness"] == pytest.approx(1)
    shared = (1 - math.log(2) / math.log(3)) * 2 / 3 + 1 / 3
    assert both["dci_disentanglement"] == pytest.approx(shared, abs=1e-9)


def test_information_is_that_of_scikit_learn_and_entropies_of_shares_are_exact():
    def noisy(x):
        return x + 0.7 * torch.randn(x.shape, generator=torch.Generator().manual_seed(len(x)))

    latent = torch.cat([noisy(part) for part in LEVELS.float().split(100)]).double()
    edges = [np.linspace(float(z.min()), float(z.max()), 21)[1:-1] for z in latent.T]
    gaps = {}
    for name, level in KNOWN.items():
        known = sorted(mutual_info_score(np.digitize(z, e), level) for z, e in zip(latent.T, edges, strict=True))
        gaps[f"gap_{name}"] = (known[-1] - known[-2]) / mutual_info_score(level, level)
    assert measured(noisy)["mig"].value.details == pytest.approx(gaps, abs=2e-3)
    assert disentangled(torch.tensor([[1.0, 0], [0, 3]]).double()) == 1
    assert disentangled(torch.ones(2, 2).double()) == pytest.approx(0)
    assert disentangled(torch.tensor([[1.0, 1], [0, 2]]).double()) == pytest.approx(0.5)
    assert disentangled(torch.zeros(2, 2).double()) == 0


def test_the_factors_of_shapes_are_those_that_they_were_drawn_from(tmp_path):
    source = Shapes(train_images=960, val_images=40, test_images=40)
    levels = source.factor_levels("val")
    assert {name: FACTORS[name][int(level[3])] for name, level in levels.items()} == source.factors(3, "val")
    with pytest.raises(ValueError, match="disentanglement needs data with known factors, as data=shapes has them"):
        measured(lambda x: x, factors=None)
    overrides = tiny.overrides_for("vae")
    with pytest.raises(ValueError, match="metrics must be without disentanglement on data without known factors"):
        tiny.run([*overrides, "metrics=disentanglement"])
    with pytest.raises(ValueError, match="metrics must be without out_of_distribution in training"):
        tiny.run([*overrides, "metrics=out_of_distribution"])
    sizes = ["data=shapes", "data.source.train_images=96", "data.source.val_images=64", "data.source.test_images=32"]
    size = ["data.image_size=16", "data.source.image_size=16", "training.max_images=64", "extractor=random"]
    folder = tiny.run([*overrides, *sizes, *size, "metrics=disentanglement", f"paths.outputs={tmp_path}"])
    last = {key: value for row in folder.history() for key, value in row.items()}
    assert 0 <= last["mig"] < 0.5 < last["dci_informativeness"] * 4


class Brightness:
    levels, exact, conditioning = None, True, Conditioning()

    def observe(self, batch, noise):
        return batch

    def log_prob(self, batch):
        return batch["image"].mean((1, 2, 3)).double()


def held_against(own, foreign):
    def opened(name):
        images = own if name == "val" else foreign
        return ImageSet(name, name[0] * 64, len(images), (1, 2, 2), lambda: ({"image": p} for p in images.split(70)))

    return scores_of_model({"it": OutOfDistribution("others")}, Brightness(), opened, 0, "raw")["ood_auroc"]


def test_equal_data_score_one_half_and_others_the_share_of_ordered_pairs():
    generator = torch.Generator().manual_seed(0)
    own, other = (torch.randn(200, 1, 2, 2, generator=generator) for _ in range(2))
    assert held_against(own, own).value.value == 0.5
    assert held_against(own + 9, other).value.value == 1
    assert held_against(own - 9, other).value.value == 0
    score = held_against(own + 0.2, other)
    truth, told = [1] * 200 + [0] * 200, torch.cat([own + 0.2, other]).mean((1, 2, 3))
    assert score.value.value == pytest.approx(roc_auc_score(truth, told))
    assert len(score.value.draws) == 20
    assert sum(score.value.curve.columns["share"]) == pytest.approx(1)
    assert sum(score.value.curve.columns["other"]) == pytest.approx(1)
    assert score.protocol.settings.endswith(f"values in [-1, 1], exact, beside others {'o' * 64}")
    assert auroc(torch.tensor([1.0, 2]), torch.tensor([1.0, 0])) == 0.875
    small, large = (ImageSet("others", "", 1, (1, size, size), list) for size in (2, 3))
    with pytest.raises(ValueError, match=r"other must be images of the shape \(1, 3, 3\), got others of \(1, 2, 2\)"):
        OutOfDistribution("others").beside(small, large)


def test_a_finished_run_is_held_against_another_data_set_at_its_own_size(tmp_path):
    folder = tiny.run([*tiny.overrides_for("vae"), f"paths.outputs={tmp_path}"])
    of_latents = "active_units,aggregate_posterior_gap,importance_likelihood,rate_distortion"
    named = [f"metrics=[out_of_distribution,{of_latents}]", f"run={folder.path}"]
    evaluate(compose("evaluate", [*named, "metrics.out_of_distribution.other=contrasts:val", "threads=1"]))
    found = next((folder.path / "evaluations").glob("*/metrics.json"))
    values = json.loads(found.read_text())["values"]
    assert 0 <= values["ood_auroc"]["value"] <= 1
    assert (found.parent / "ood_auroc.png").stat().st_size > 5000
    assert "other" in (found.parent / "ood_auroc.csv").read_text().splitlines()[0]
    assert {"active_units", "aggregate_gap", "index_information"} <= set(values)
    parts = [values[name]["value"] for name in ("importance_nll", "rate", "distortion")]
    assert parts[0] < parts[1] + parts[2]
    assert (found.parent / "distortion.png").stat().st_size > 5000
