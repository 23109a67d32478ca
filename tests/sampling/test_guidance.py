"""Guidance: exact where it must do nothing, linear in between and beyond, and no more calls than it needs."""

import pytest
import torch

from exact_denoisers import ClassDenoiser
from genexp.conditioning.base import UNCONDITIONAL
from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.schedules import Cosine, Linear
from genexp.evaluation.protocol import describe
from genexp.sampling.ddim import DDIM
from genexp.sampling.guidance import Autoguidance, ClassifierFree, Interval, Unguided
from genexp.tensors import IndexedNoise, expand_to


def example():
    return torch.randn(4, 3), torch.full((4,), 500), {"label": torch.tensor([0, 1, 1, 0])}


def test_scale_one_is_the_conditional_model_bit_for_bit_in_one_evaluation():
    model, (x_t, t, condition) = ClassDenoiser(), example()
    assert torch.equal(ClassifierFree(1.0)(model)(x_t, t, condition), model(x_t, t, condition))
    assert model.batches == [4, 4]


def test_scale_zero_is_the_unconditional_model_bit_for_bit_in_one_evaluation():
    model, (x_t, t, condition) = ClassDenoiser(), example()
    assert torch.equal(ClassifierFree(0.0)(model)(x_t, t, condition), model(x_t, t))
    assert model.batches == [4, 4]


def test_other_scales_extrapolate_in_one_call_of_twice_the_batch():
    model, (x_t, t, condition) = ClassDenoiser(), example()
    guided = ClassifierFree(3.0)(model)(x_t, t, condition)
    assert model.batches == [8]
    conditional, unconditional = model(x_t, t, condition), model(x_t, t)
    torch.testing.assert_close(guided, unconditional + 3 * (conditional - unconditional))


def test_a_sampler_guides_and_then_clips():
    noise, classes = IndexedNoise(0, range(2)), {"label": torch.tensor([0, 1])}

    def images(guidance, condition=classes):
        sampler, model = DDIM(20, guidance=guidance), ClassDenoiser()
        return sampler.run(model, sampler.start(model, IndexedNoise(0, range(2))), noise, condition)

    assert torch.equal(images(ClassifierFree(0.0)), images(Unguided(), {}))
    plain, guided = images(ClassifierFree(1.0)), images(ClassifierFree(2.0))
    assert torch.equal(plain, images(Unguided()))
    assert (guided[0].mean() < plain[0].mean()).all()
    assert (guided[1].mean() > plain[1].mean()).all()
    assert images(ClassifierFree(20.0)).abs().max() <= 1


def test_rescaling_restores_the_deviation_of_every_sample_as_far_as_is_asked():
    """Lin et al., equations 15 and 16; nothing is the guidance of before bit for bit."""

    class Contrasts(ClassDenoiser):
        def __call__(self, x_t, t, condition=UNCONDITIONAL):
            label = condition.get("label", torch.full_like(t, 2))
            return expand_to(torch.tensor([0.5, 0.7, 0.3])[label], x_t) * torch.sin(x_t)

    model, (x_t, t, condition) = Contrasts(), example()

    def guided(rescale):
        return ClassifierFree(6.0, rescale=rescale)(model)(x_t, t, condition)

    plain = guided(None)
    wanted, found = model(x_t, t, condition).std(1), plain.std(1)
    assert (found / wanted - 1).abs().min() > 0.05
    assert torch.equal(guided(0.0), plain)
    torch.testing.assert_close(guided(1.0).std(1), wanted)
    torch.testing.assert_close(guided(0.7), 0.7 * plain * (wanted / found)[:, None] + 0.3 * plain)
    for scale in (0.0, 1.0):
        same = ClassifierFree(scale)(model)(x_t, t, condition)
        assert torch.equal(ClassifierFree(scale, rescale=0.7)(model)(x_t, t, condition), same)
    model.image_shape = (1,)
    one = ClassifierFree(6.0, rescale=1.0)(model)(x_t[:, :1], t, condition)
    assert torch.equal(one, ClassifierFree(6.0)(model)(x_t[:, :1], t, condition))  # a single number has no contrast


def test_rescaling_is_told_where_there_is_some_and_kept_in_an_interval():
    with pytest.raises(ValueError, match=r"rescale must lie in \[0, 1\], got 1.5"):
        ClassifierFree(rescale=1.5)
    assert describe(ClassifierFree()) == "ClassifierFree(scale=1.5)"
    assert describe(ClassifierFree(rescale=0.7)) == "ClassifierFree(rescale=0.7, scale=1.5)"
    model, (x_t, t, condition) = ClassDenoiser(), example()
    within = Interval(ClassifierFree(rescale=0.7), 0.0, None, scale=4.0)(model)(x_t, t, condition)
    assert torch.equal(within, ClassifierFree(4.0, rescale=0.7)(model)(x_t, t, condition))


def test_guidance_needs_classes_and_labels():
    text = r"guidance must be none for a model without classes, got ClassifierFree\(scale=2.0, over=None, rescale=None"
    for guidance in (ClassifierFree(2.0), Interval(ClassifierFree(2.0))):
        with pytest.raises(ValueError, match=text):
            DDIM(guidance=guidance).require(ClassDenoiser(num_classes=None))
    x_t, t, _ = example()
    with pytest.raises(ValueError, match=r"label must be given for classifier-free guidance of scale 2\.0, got none"):
        ClassifierFree(2.0)(ClassDenoiser())(x_t, t)


def test_no_guidance_is_the_model_itself():
    model = ClassDenoiser()
    assert Unguided()(model) is model
    assert DDIM().guidance == Unguided()


def test_autoguidance_goes_away_from_the_guide_with_the_label_of_the_model():
    model, guide, (x_t, t, condition) = ClassDenoiser(), ClassDenoiser(), example()
    for known in (condition, {}):
        guided = Autoguidance(guide, 2.5)(model)(0.5 * x_t, t, known)
        better, worse = model(0.5 * x_t, t, known), guide(0.5 * x_t, t, known)
        torch.testing.assert_close(guided, worse + 2.5 * (better - worse))
    before = len(guide.batches)
    assert torch.equal(Autoguidance(guide, 1.0)(model)(x_t, t, condition), model(x_t, t, condition))
    assert len(guide.batches) == before


def test_a_guide_of_other_images_classes_or_noise_levels_is_refused():
    other = ClassDenoiser(3)
    with pytest.raises(ValueError, match=r"guide must have shape and conditions .* and 2 classes, got .* 3 classes"):
        Autoguidance(other)(ClassDenoiser())
    for schedule in (Linear(), Cosine(500), RectifiedFlow()):
        other = ClassDenoiser()
        other.schedule = schedule
        with pytest.raises(ValueError, match="guide must have the noise levels of the model's schedule, got others"):
            Autoguidance(other)(ClassDenoiser())


@pytest.mark.parametrize("schedule", [Cosine(), RectifiedFlow()], ids=["discrete", "real"])
def test_an_interval_guides_within_its_noise_levels_alone(schedule):
    model, (x_t, _, condition) = ClassDenoiser(), example()
    model.schedule = schedule
    t = schedule.times(torch.tensor([0.1, 0.4, 0.6, 0.99]))
    alpha, sigma = schedule(t)
    within, plain = Interval(ClassifierFree(3.0), 0.5, 2.0)(model), model(x_t, t, condition)
    guided = ClassifierFree(3.0)(model)(x_t, t, condition)
    inside = (sigma / alpha > 0.5) & (sigma / alpha <= 2)
    assert inside.tolist() == [False, True, True, False]
    torch.testing.assert_close(within(x_t, t, condition), torch.where(inside[:, None], guided, plain))
    model.batches.clear()
    assert torch.equal(within(x_t[:1], t[:1], {"label": condition["label"][:1]}), plain[:1])
    assert model.batches == [1]  # outside at the cost of the model alone
    within(x_t[1:3], t[1:3], {"label": condition["label"][1:3]})
    assert model.batches == [1, 4]


def test_an_interval_without_an_end_guides_where_no_signal_is_left():
    model, guidance = ClassDenoiser(), Interval(ClassifierFree(3.0), 0.5, None)
    model.schedule = RectifiedFlow()
    x_t, _, condition = example()
    assert torch.equal(
        guidance(model)(x_t, torch.ones(4), condition), ClassifierFree(3.0)(model)(x_t, torch.ones(4), condition)
    )
    with pytest.raises(ValueError, match=r"high must be above low, 0.5, got 0.5"):
        Interval(low=0.5, high=0.5)
    with pytest.raises(ValueError, match=r"low must be at least 0, got -1"):
        Interval(low=-1)


def test_the_strength_of_an_interval_is_that_of_what_is_inside():
    """So that `sampler.guidance.scale` means the same for every guidance, whoever sets it."""
    model, (x_t, t, label) = ClassDenoiser(), example()
    strong = Interval(ClassifierFree(1.5), 0.0, None, scale=4.0)(model)(x_t, t, label)
    assert torch.equal(strong, ClassifierFree(4.0)(model)(x_t, t, label))
    with pytest.raises(ValueError, match=r"scale must be null around Unguided, which has none, got 4"):
        Interval(Unguided(), scale=4.0)


def test_a_protocol_tells_how_images_were_guided():
    text = "guidance=Interval(high=2.0, inside=ClassifierFree(scale=3.0), low=0.2)"
    assert text in describe(DDIM(guidance=Interval(ClassifierFree(3.0))))
