"""Guidance by a classifier of noisy images: exact where the classifier is, and nothing where it must do nothing."""

import pytest
import torch

from exact_denoisers import ClassDenoiser, Mixture
from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.schedules import Cosine, Linear
from genexp.evaluation.protocol import describe
from genexp.sampling.classifier_guidance import ClassifierGuidance
from genexp.sampling.ddim import DDIM
from genexp.sampling.ddpm import DDPM
from genexp.sampling.draw import draw, told_by
from genexp.sampling.guidance import Interval
from genexp.tensors import IndexedNoise, expand_to

MEAN, STD = 0.6, 0.3


class Exact:
    """p(y | x_t) of two equal Gaussians N(-mean, std^2) and N(mean, std^2)."""

    image_shape, num_classes = (1,), 2

    def __init__(self, schedule):
        self.schedule, self.calls = schedule, 0

    def logits(self, x_t, t):
        self.calls += 1
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, torch.float64))
        total = alpha**2 * STD**2 + sigma**2
        return torch.cat([-((x_t - alpha * side) ** 2) / (2 * total) for side in (-MEAN, MEAN)], 1)


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), RectifiedFlow()], ids=["linear", "cosine", "flow"])
def test_an_exact_classifier_makes_of_the_mixture_the_gaussian_of_the_class(schedule):
    """Mean and score of N(+-mean, std^2), at every level of noise."""
    model, classifier = Mixture(schedule, MEAN, STD), Exact(schedule)
    t = schedule.times(torch.linspace(0, 0.99, 9, dtype=torch.float64))
    x_t, label = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None], torch.arange(9) % 2
    guided = ClassifierGuidance(classifier)(model)(x_t, t, {"label": label})
    alpha, sigma = (expand_to(level, x_t) for level in schedule(t, torch.float64))
    side = MEAN * (2 * label[:, None].double() - 1)
    exact = side + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x_t - alpha * side)
    torch.testing.assert_close(guided, exact, rtol=0, atol=1e-9)
    twice = ClassifierGuidance(classifier, 2.0)(model)(x_t, t, {"label": label})
    torch.testing.assert_close(twice - guided, guided - model(x_t, t), rtol=0, atol=1e-9)
    assert not guided.requires_grad


def test_scale_zero_is_the_model_bit_for_bit_without_the_classifier():
    schedule = Cosine()
    model, classifier = Mixture(schedule, MEAN, STD), Exact(schedule)
    x_t, t = torch.randn(4, 1), torch.tensor([1, 300, 700, 1000])
    for condition in ({}, {"label": torch.tensor([0, 1, 1, 0])}):
        assert torch.equal(ClassifierGuidance(classifier, 0.0)(model)(x_t, t, condition), model(x_t, t))
    assert classifier.calls == 0


def test_nothing_is_added_where_no_signal_is_left():
    schedule = RectifiedFlow()
    guided = ClassifierGuidance(Exact(schedule), 5.0)(Mixture(schedule, MEAN, STD))
    x_t, t = torch.randn(3, 1).double(), torch.ones(3, dtype=torch.float64)
    assert torch.equal(guided(x_t, t, {"label": torch.tensor([0, 1, 0])}), Mixture(schedule, MEAN, STD)(x_t, t))


@pytest.mark.parametrize("make", [DDIM, DDPM])
def test_samplers_draw_the_class_that_is_told_of_a_model_that_knows_none(make):
    schedule = Cosine()
    model, classifier = Mixture(schedule, MEAN, STD), Exact(schedule)
    for guidance in (ClassifierGuidance(classifier), Interval(ClassifierGuidance(classifier), 0.05, None)):
        sampler = make(60, clip=False, guidance=guidance)
        told = told_by(sampler, model, model.conditioning)
        assert (told.names, told.num_classes) == (("label",), 2)

        class Turns:
            def of(self, indices):
                return {"label": torch.tensor([i % 2 for i in indices])}

        x = draw(model, sampler, range(64), 0, Turns())["image"].view(-1, 2)
        assert x.mean(0).tolist() == pytest.approx([-MEAN, MEAN], abs=0.12)


def test_a_model_that_knows_classes_is_told_the_same_one():
    model = ClassDenoiser()
    classifier = Exact(model.schedule)
    classifier.image_shape = (3,)
    classifier.logits = lambda x_t, t: torch.stack([x_t.sum(1), -x_t.sum(1)], 1)
    x_t, t, condition = torch.randn(4, 3), torch.full((4,), 500), {"label": torch.tensor([0, 1, 1, 0])}
    alpha, sigma = model.schedule(t)
    slope = torch.stack([1 - torch.tanh(x_t.sum(1)), -1 - torch.tanh(x_t.sum(1))], 1).gather(
        1, condition["label"][:, None]
    )
    exact = model(x_t, t, condition) + (sigma**2 / alpha)[:, None] * slope
    torch.testing.assert_close(ClassifierGuidance(classifier)(model)(x_t, t, condition), exact, rtol=1e-5, atol=1e-5)


def test_a_classifier_of_something_else_is_refused():
    model = Mixture(Cosine(), MEAN, STD)
    with pytest.raises(ValueError, match="classifier must have the noise levels of the model's schedule, got others"):
        ClassifierGuidance(Exact(Linear()))(model)
    with pytest.raises(ValueError, match=r"classifier must be of images of shape \(3,\), got \(1,\)"):
        ClassifierGuidance(Exact(Cosine()))(ClassDenoiser())
    other = Exact(Cosine())
    other.image_shape = (3,)
    with pytest.raises(ValueError, match="classifier must have the model's 4 classes, got 2"):
        ClassifierGuidance(other)(ClassDenoiser(4))
    with pytest.raises(ValueError, match="scale must be at least 0, got -1"):
        ClassifierGuidance(Exact(Cosine()), -1)
    sampler = DDIM(5, guidance=ClassifierGuidance(Exact(Cosine())))
    with pytest.raises(ValueError, match=r"label must be given for classifier guidance of scale 1, got none"):
        sampler.run(model, torch.zeros(1, 1), IndexedNoise(0, [0]))
    assert describe(ClassifierGuidance(Exact(Cosine()), 2.0)) == "ClassifierGuidance(scale=2.0)"
