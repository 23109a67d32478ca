"""Classifier-free guidance: exact at 0 and 1, linear in between and beyond, one call."""

import pytest
import torch

from genexp.diffusion.schedules import Cosine
from genexp.sampling.ddim import DDIM
from genexp.sampling.guidance import ClassifierFreeGuidance
from genexp.tensors import IndexedNoise, expand_to


class ClassDenoiser:
    """Knows one image per class, and their mean for no class; remembers the batches it was called with."""

    image_shape, schedule = (3,), Cosine()

    def __init__(self, num_classes=2):
        self.num_classes, self.batches = num_classes, []

    def __call__(self, x_t, t, label=None):
        self.batches.append(len(x_t))
        label = torch.full_like(t, 2) if label is None else label
        return 0.1 * torch.sin(x_t) + expand_to(torch.tensor([-0.5, 0.7, 0.1])[label], x_t)


def example():
    return torch.randn(4, 3), torch.full((4,), 500), torch.tensor([0, 1, 1, 0])


def test_scale_one_is_the_conditional_model_bit_for_bit_in_one_evaluation():
    model, (x_t, t, label) = ClassDenoiser(), example()
    assert torch.equal(ClassifierFreeGuidance(model, 1.0)(x_t, t, label), model(x_t, t, label))
    assert model.batches == [4, 4]


def test_scale_zero_is_the_unconditional_model_bit_for_bit_in_one_evaluation():
    model, (x_t, t, label) = ClassDenoiser(), example()
    assert torch.equal(ClassifierFreeGuidance(model, 0.0)(x_t, t, label), model(x_t, t))
    assert model.batches == [4, 4]


def test_other_scales_extrapolate_in_one_call_of_twice_the_batch():
    model, (x_t, t, label) = ClassDenoiser(), example()
    guided = ClassifierFreeGuidance(model, 3.0)(x_t, t, label)
    assert model.batches == [8]
    conditional, unconditional = model(x_t, t, label), model(x_t, t)
    torch.testing.assert_close(guided, unconditional + 3 * (conditional - unconditional))


def test_a_sampler_guides_and_then_clips():
    noise, label = IndexedNoise(0, range(2)), torch.tensor([0, 1])

    def images(guidance, label=label):
        sampler, model = DDIM(20, guidance=guidance), ClassDenoiser()
        return sampler.run(model, sampler.start(model, IndexedNoise(0, range(2))), noise, label)

    assert torch.equal(images(0.0), images(1.0, label=None))
    plain, guided = images(1.0), images(2.0)
    assert (guided[0].mean() < plain[0].mean()).all()
    assert (guided[1].mean() > plain[1].mean()).all()
    assert images(20.0).abs().max() <= 1


def test_guidance_needs_classes_and_labels():
    with pytest.raises(ValueError, match=r"guidance must be 1 for a denoiser without classes, got 2\.0"):
        ClassifierFreeGuidance(ClassDenoiser(num_classes=None), 2.0)
    x_t, t, _ = example()
    with pytest.raises(ValueError, match=r"label must be given for guidance 2\.0, got None"):
        ClassifierFreeGuidance(ClassDenoiser(), 2.0)(x_t, t)
