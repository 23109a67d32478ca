"""A GAN that makes images of pictures: both players see the picture, and every part of a GAN goes with that."""

import functools
import logging

import lightning
import pytest
import torch

from genexp.adversarial.adaptive import AdaptiveAugment
from genexp.adversarial.augmentations import DiffAugment, InstanceNoise
from genexp.adversarial.critic import Critic
from genexp.adversarial.generator_penalties import FeatureMatching, ModeSeeking, PathLength, Reconstruction
from genexp.adversarial.objectives import Hinge, LeastSquares
from genexp.adversarial.pairings import RelativisticAverage
from genexp.adversarial.penalties import R1, GradientPenalty
from genexp.adversarial.regularisers import Penalties
from genexp.adversarial.score_penalties import Consistency, LeCam
from genexp.adversarial.steps import GeneratorStep
from genexp.adversarial.unrolling import Unrolled
from genexp.conditioning.pictures import Picture
from genexp.families.gan import GAN
from genexp.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genexp.networks.image_to_image import ImageToImageGenerator
from genexp.networks.patch import PatchDiscriminator
from genexp.networks.residual_translation import ResidualTranslation
from genexp.networks.restoration import Srcnn

ADAM = functools.partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.999))
SOURCE = {"source": Picture((1, 16, 16))}


def pairs(batches=2, size=4):
    generator = torch.Generator().manual_seed(0)
    image, source = torch.rand(2, batches, size, 1, 16, 16, generator=generator) * 2 - 1
    return [{"image": image[i], "source": source[i]} for i in range(batches)]


def patches(beside=SOURCE):
    return PatchDiscriminator(16, 1, beside, receptive_field=16, width=4)


def translator(critic=None, penalties=None, generator=None, **options):
    torch.manual_seed(0)
    generator = generator or ImageToImageGenerator(16, 1, SOURCE, width=4, widest=8)
    penalties = {"reconstruction": Reconstruction()} if penalties is None else penalties
    given = {"generator_optimizer": ADAM, "critic_optimizer": ADAM, "conditions": SOURCE, **options}
    return GAN(generator, critic or Critic(patches(), Hinge()), generator_penalties=penalties, **given)


def fit(model, batches):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **silent)
    trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))
    return model


def test_the_reconstruction_penalty_and_its_gradient_are_those_of_l1():
    torch.manual_seed(0)
    fake, real = torch.randn(3, 1, 4, 4, requires_grad=True), torch.randn(3, 1, 4, 4)
    step = GeneratorStep(None, None, torch.zeros(3, 1), real, fake)
    penalty = Reconstruction(weight=100.0)(step)
    expected = [100 * torch.nn.functional.l1_loss(a, b) for a, b in zip(fake, real, strict=True)]
    torch.testing.assert_close(penalty, torch.stack(expected))
    penalty.sum().backward()
    torch.testing.assert_close(fake.grad, 100 / 16 * (fake.detach() - real).sign())


@pytest.mark.parametrize(
    "parts",
    [
        {"augmentations": {"a": DiffAugment(), "b": InstanceNoise()}, "penalties": {"r1": R1()}},
        {"augmentations": {"a": AdaptiveAugment(p=0.5)}, "penalties": {"gp": GradientPenalty(), "lecam": LeCam()}},
        {"penalties": {"cr": Consistency(DiffAugment(("translation",)), fake_weight=5.0)}},
    ],
    ids=["diff_augment_r1", "ada_gp_lecam", "consistency"],
)
def test_accumulation_changes_memory_and_nothing_else(parts):
    trained = []
    for accumulate in (1, 2):
        torch.manual_seed(0)
        model = translator(Critic(patches(), LeastSquares(), **parts)).arrange(accumulate=accumulate)
        trained.append(fit(model, pairs()).state_dict())
    for name, value in trained[0].items():
        torch.testing.assert_close(trained[1][name], value, msg=name, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("critic", "penalties", "options"),
    [
        ({}, {"feature_matching": FeatureMatching(), "mode_seeking": ModeSeeking()}, {}),
        ({}, None, {"unrolled": Unrolled(2)}),
        ({}, None, {"critic_steps": 2}),
        ({"untold": ["source"], "discriminator": None}, None, {}),
    ],
    ids=["of_batches", "unrolled", "critic_steps", "untold"],
)
def test_other_parts_go_with_pictures(critic, penalties, options):
    discriminator = patches(None if critic.pop("discriminator", 0) is None else SOURCE)
    scored = Critic(discriminator, Hinge(pairing=RelativisticAverage()) if "unrolled" in options else Hinge(), **critic)
    model = fit(translator(scored, penalties, **options), pairs())
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert model.images_seen == 8


@pytest.mark.parametrize("augmentation", [DiffAugment(("translation", "cutout", "flip")), AdaptiveAugment(p=1.0)])
def test_a_picture_is_moved_with_its_image(augmentation):
    torch.manual_seed(0)
    image = torch.randn(6, 1, 16, 16)
    drawn = augmentation.draw(image, 0)
    shapes = AdaptiveAugment(("blit", "geometry")) if isinstance(augmentation, AdaptiveAugment) else augmentation
    torch.testing.assert_close(augmentation.beside(image, drawn), shapes(image, drawn))
    assert not torch.equal(augmentation.beside(image, drawn), image)


def test_colours_and_noise_leave_the_picture_beside_alone():
    image = torch.randn(6, 3, 16, 16)
    for part in (DiffAugment(("color",)), InstanceNoise(), AdaptiveAugment(("color",), p=1.0)):
        torch.testing.assert_close(part.beside(image, part.draw(image, 0)), image)


def test_the_critic_sees_pair_and_picture_under_one_draw():
    seen = []

    class Spy(PatchDiscriminator):
        def judged(self, image, condition):
            seen.append((image, condition["source"]))
            return super().judged(image, condition)

    critic = Critic(Spy(16, 1, SOURCE, 16, width=4), Hinge(), augmentations={"a": DiffAugment(("translation", "flip"))})
    image = torch.randn(5, 1, 16, 16)
    critic.loss(image, image, {"source": image})
    critic.generator_loss(image, image, {"source": image})
    assert len(seen) == 2  # real and fake in one pass, then the fake
    for shown, beside in seen:
        torch.testing.assert_close(shown, beside)
    assert not torch.equal(seen[0][0][:5], seen[0][0][5:])  # either side by draws of its own


def test_at_weight_zero_the_generator_learns_from_its_penalties_and_the_critic_rests():
    model = translator(adversarial_weight=0.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, pairs())
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"generator"}
    assert model.steps == {"critic": 0, "generator": 2}
    assert model.validate_batch(pairs()[0]) == {}


def test_a_weight_of_the_adversarial_loss_is_a_factor():
    batch = pairs()[0]
    losses = []
    for weight in (1.0, 3.0):
        model = translator(adversarial_weight=weight)
        torch.manual_seed(0)
        part = model._draw(batch)
        terms = model._generator_terms(part)
        losses.append(terms["loss"] - terms["penalty/reconstruction"])
    torch.testing.assert_close(losses[1], 3 * losses[0])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: translator(penalties={"p": PathLength()}), "generator_penalties must be without path_length .*"),
        (
            lambda: translator(generator=DCGANGenerator(16, 1, width=4), conditions=None),
            "generator_penalties must be without reconstruction for a generator that is told no picture, .*",
        ),
        (
            lambda: translator(generator=DCGANGenerator(16, 1, width=4), penalties={}),
            "generator must read the conditions of the model, source, got one that reads nothing",
        ),
        (
            lambda: translator(Critic(DCGANDiscriminator(16, 1, width=4), Hinge())),
            "critic.discriminator must read the conditions of the model, source, got one that reads nothing",
        ),
        (
            lambda: translator(Critic(patches(), Hinge(), untold=["source"])),
            "critic.discriminator must not read source, which critic.untold names",
        ),
        (
            lambda: translator(Critic(patches(), Hinge(), untold=["sauce"])),
            "critic.untold must name conditions of the model, source, got sauce",
        ),
        (lambda: Critic(patches(), Hinge(), untold="source"), "untold must be a list of names of conditions, got .*"),
        (lambda: translator(adversarial_weight=-1), "adversarial_weight must be at least 0, got -1"),
        (
            lambda: translator(adversarial_weight=0, penalties={}),
            "adversarial_weight must be above 0 without generator_penalties, got 0",
        ),
    ],
)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("penalty", [PathLength(), ModeSeeking()])
@pytest.mark.parametrize(
    "generator", [lambda: ResidualTranslation(1, SOURCE, width=2, blocks=1), lambda: Srcnn(16, 1, SOURCE)]
)
def test_nothing_is_asked_of_a_latent_that_nothing_reads(generator, penalty):
    name = "path_length" if isinstance(penalty, PathLength) else "mode_seeking"
    with pytest.raises(ValueError, match=f"must be without {name} for a generator that reads no latent, got (Res|Src)"):
        Penalties("generator_penalties", {name: penalty}, generator())
