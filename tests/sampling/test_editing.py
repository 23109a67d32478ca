"""Drawing that begins with given images: nothing of them at full strength, all at none, closed forms between."""

import math
from types import SimpleNamespace

import pytest
import torch

from exact_denoisers import ClassDenoiser, Gaussian, Mixture, shipped, shipped_samplers
from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.exploding import Exploding
from genexp.diffusion.schedules import Cosine, Linear
from genexp.sampling.classifier_guidance import ClassifierGuidance
from genexp.sampling.ddim import DDIM
from genexp.sampling.ddpm import DDPM
from genexp.sampling.draw import draw
from genexp.sampling.editing import Inverted, Noised, Originals
from genexp.sampling.guidance import ClassifierFree
from genexp.sampling.heun import Heun
from genexp.sampling.refining import Refined
from genexp.tensors import IndexedNoise

NAMES = sorted(shipped_samplers())
SCHEDULES = [Linear(), RectifiedFlow()]
IMAGES = Originals(torch.tensor([[0.9], [-0.4], [0.1]], dtype=torch.float64))


def begun(name, schedule, **changed):
    """A shipped sampler that may begin on a schedule: not every one can at pure noise."""
    return shipped(name, **({"spacing": "leading"} if schedule.last == 1 else {}), **changed)


def edited(edit, sampler, model, count=6, originals=IMAGES):
    sampler = edit(sampler, originals)
    sampler.require(model)
    return draw(model, sampler, range(count), seed=0)["image"]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["linear", "flow"])
@pytest.mark.parametrize("name", NAMES)
def test_full_strength_is_drawing_without_the_image_bit_for_bit(name, schedule):
    sampler, model = begun(name, schedule, steps=12), Mixture(schedule, 0.4, 0.3)
    assert torch.equal(edited(Noised(1.0), sampler, model), draw(model, sampler, range(6), seed=0)["image"])


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["linear", "flow"])
@pytest.mark.parametrize("name", NAMES)
def test_a_little_strength_stays_near_the_image_and_costs_little(name, schedule):
    """As near as the little noise at 2 % of the times is strong; sample i begins with image i, and goes round."""
    sampler, model, edit = begun(name, schedule, steps=100), Mixture(schedule, 0.4, 0.3), Noised(0.02)
    found = edited(edit, sampler, model)
    first = edit(sampler, IMAGES).levels(model)[0]
    assert first.sigma < 0.1
    assert (found - IMAGES.images.repeat(2, 1)).abs().max() < 4 * first.sigma
    assert not torch.equal(found[:3], found[3:])  # noise of their own
    assert model.calls == edit(sampler, IMAGES).evaluations_of(model) < 25


def test_a_gaussian_comes_out_as_the_closed_form_says():
    """From x alpha_k + sigma_k eps the flow scales by std / sqrt(alpha_k^2 std^2 + sigma_k^2), without fresh noise."""
    schedule = Cosine()
    model, sampler = Mixture(schedule, std=0.5), Heun(100, clip=False)
    for strength in (0.2, 0.5, 0.9):
        noise, first = IndexedNoise(0, range(6)).normal(1), Noised(strength)(sampler, IMAGES).levels(model)[0]
        alpha, sigma = (float(level) for level in schedule(torch.tensor([first.time]), torch.float64))
        scale = model.std / math.sqrt(alpha**2 * model.std**2 + sigma**2)
        exact = scale * (alpha * IMAGES.images.repeat(2, 1) + sigma * noise)
        torch.testing.assert_close(edited(Noised(strength), sampler, model), exact, rtol=0, atol=1e-3)


def test_the_time_of_a_strength_is_one_of_the_grid_in_the_schedules_own_measure():
    model = Mixture(Linear())
    assert Noised(0.5)(DDIM(10), IMAGES).levels(model)[0].time == 500
    assert Noised(0.59)(DDIM(10), IMAGES).levels(model)[0].time == 500
    assert Noised(0.3)(DDIM(10), IMAGES).levels(Mixture(RectifiedFlow()))[0].time == pytest.approx(0.3)
    assert Noised(0.95)(DDIM(10, spacing="leading"), IMAGES).levels(model)[0].time == 901
    assert len(Noised(0.5)(DDIM(10), IMAGES).levels(Mixture(Exploding()))) == 6


@pytest.mark.parametrize("name", [name for name in NAMES if shipped(name, steps=60).deterministic])
def test_an_inverted_image_comes_back(name):
    sampler, model = shipped(name, steps=60, spacing="leading"), Mixture(Linear(), 0.4, 0.3)
    found = edited(Inverted(), sampler, model, count=3)
    torch.testing.assert_close(found, IMAGES.images, rtol=0, atol=0.09 if name in ("ddim", "euler") else 0.04)
    assert model.calls == Inverted()(sampler, IMAGES).evaluations_of(model)


def test_an_image_is_inverted_as_what_it_is_and_drawn_as_what_it_is_to_be():
    """Without guidance there, guided back; the image of class 0 becomes one of class 1."""
    model, sampler = ClassDenoiser(), DDIM(200, clip=False, guidance=ClassifierFree(2.0))
    given = Originals(torch.full((1, 3), -0.5))
    edit = Inverted({"label": 0})(sampler, given)
    edit.require(model)
    start = edit.start(model, IndexedNoise(0, [0]))

    def end(label, sampler=edit):
        return sampler.run(model, start, IndexedNoise(0, [0]), {"label": torch.tensor([label])})

    same = end(0, Inverted({"label": 0})(DDIM(200, clip=False), given))
    torch.testing.assert_close(same, given.images, rtol=0, atol=0.06)
    assert (end(1) > 0.5).all()
    with pytest.raises(ValueError, match=r"source must say what the model is told: label must lie in \[0, 2\), got 7"):
        Inverted({"label": 7})(sampler, given).require(model)


def test_what_cannot_be_edited_is_refused_with_the_reason():
    model = Mixture(Linear())
    for strength in (0.0, 1.5):
        with pytest.raises(ValueError, match=rf"strength must lie in \(0, 1\], got {strength}"):
            Noised(strength)
    with pytest.raises(ValueError, match=r"strength must reach the sampler's least noisy time, 100 of 1000, got 0.05"):
        Noised(0.05)(DDIM(10), IMAGES).require(model)
    with pytest.raises(ValueError, match="sampler must add no fresh noise to be inverted, got DDPM with some"):
        Inverted()(DDPM(10), IMAGES)
    with pytest.raises(ValueError, match=r"images must have the shape \(2,\), got \(1,\)"):
        Noised()(DDIM(10), IMAGES).require(Gaussian(Linear(), [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(TypeError, match="DDIM draws from a Denoiser"):
        Noised()(DDIM(10), IMAGES).require(torch.nn.Linear(1, 1))
    assert model.calls == 0


def test_what_is_never_left_out_is_told_on_the_way_to_the_noise_too():
    model, plain = ClassDenoiser(), DDIM(200, clip=False)
    model.conditioning = Conditioning.of(2)
    given = Originals(torch.full((1, 3), 0.76))
    told, start = {"label": torch.tensor([1])}, IndexedNoise(0, [0])
    edit = Inverted()(plain, given)
    again = edit.run(model, edit.start(model, start), start, told)
    torch.testing.assert_close(again, given.images, rtol=0, atol=0.06)


def test_what_a_guidance_tells_and_the_model_does_not_know_is_not_told_on_the_way_to_the_noise():
    class Untold(Mixture):
        def __call__(self, x_t, t, condition=UNCONDITIONAL):
            assert not condition
            return super().__call__(x_t, t)

    classifier = SimpleNamespace(image_shape=(1,), num_classes=2, schedule=Linear())
    edit = Inverted()(DDIM(10, clip=False, guidance=ClassifierGuidance(classifier, 0.0)), IMAGES)
    model, noise = Untold(Linear(), 0.4, 0.3), IndexedNoise(0, [0, 1, 2])
    edit.run(model, edit.start(model, noise), noise, {"label": torch.tensor([0, 1, 1])})
    assert model.calls == edit.evaluations_of(model)


def test_a_refiner_is_asked_on_both_ways():
    """Of two denoisers that differ, the image of the ensemble comes back."""
    model, refiner = Mixture(Linear(), 0.4, 0.3), Mixture(Linear(), 0.4, 0.2)
    sampler = DDIM(200, clip=False, spacing="leading", guidance=Refined(refiner, 0.5))
    found = edited(Inverted(), sampler, model, count=3)
    torch.testing.assert_close(found, IMAGES.images, rtol=0, atol=0.04)
    assert min(refiner.calls, model.calls) > 150
