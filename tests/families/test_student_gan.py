"""A student and its teacher: what it is asked for, what its critic sees, what it weighs, and what is refused."""

import re

import pytest
import torch

import genexp
import tiny
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import Hinge
from genexp.adversarial.steps import GeneratorStep
from genexp.conditioning.base import Conditioning
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.families.student import Distilled, StudentGAN
from genexp.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genexp.ramps import Linear

SHORT = ["data.batch_size=8", "training.max_images=16", "training.evaluate_every=64", "training.checkpoint_every=8"]
COMMON = [*tiny.COMMON, *SHORT, "metrics=none", "model.critic.discriminator.width=8"]
STUDENT = ["experiment=tiny_gan/digits", *COMMON]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A finished run of a generator of 16 feature maps."""
    outputs = tmp_path_factory.mktemp("teacher")
    typed = ["experiment=biggan/digits", *COMMON, "model.generator.width=16", f"paths.outputs={outputs}"]
    return tiny.run(typed)


def student(teacher, *typed):
    torch.manual_seed(0)
    return build(compose("train", [*STUDENT, f"model.teacher.run={teacher.path}", *typed]).model)


def batch():
    return {"image": torch.rand(8, 1, 8, 8) * 2 - 1, "label": torch.arange(8)}


def test_the_distance_is_that_of_its_formula_and_its_weight_follows_the_ramp(teacher):
    model, given = student(teacher), batch()
    penalty = Distilled(model.teacher, Linear(10.0, 1.0, 100), feature=0.5)
    condition, latent = model.conditioning.told(given), torch.randn(8, *model.latent_shape)
    model.eval()
    step = GeneratorStep(
        model.generator, model.critic.discriminator, latent, given["image"], None, condition, condition
    )
    aim = genexp.load_run(teacher.path).model.decode(latent, condition)
    made = model.generator(latent, condition)
    features = [model.critic.discriminator.judged(each, condition).features for each in (made, aim)]
    for seen, weight in ((0, 10.0), (50, 5.5), (1000, 1.0)):
        step = GeneratorStep(
            model.generator, model.critic.discriminator, latent, given["image"], made, condition, condition,
            penalty.draw(given["image"], seen),
        )  # fmt: skip
        expected = weight * (made - aim).abs().mean((1, 2, 3)) + 0.5 * (features[0] - features[1]).abs().mean(1)
        torch.testing.assert_close(penalty(step), expected)
    (slope,) = torch.autograd.grad(penalty(step).sum(), made)
    assert slope.abs().sum() > 0


@pytest.mark.parametrize(("weight", "share"), [(0.0, 0.0), (1.0, 0.5), (0.2, 1 / 6)])
def test_the_critic_sees_images_of_the_teacher_and_a_share_of_the_data(teacher, weight, share):
    model = student(teacher, f"model.data_weight={weight}")
    rows = torch.arange(2000) % 8
    given = {name: value[rows] for name, value in batch().items()}
    drawn = model._draw(given)
    aim = model.teacher.decode(drawn["latent"], model.conditioning.told(given))
    of_data = (drawn["image"] == given["image"]).flatten(1).all(1)
    assert torch.equal(drawn["image"][~of_data], aim[~of_data])
    assert float(of_data.double().mean()) == pytest.approx(share, abs=0.03)


def test_a_student_has_a_tenth_of_its_teachers_parameters_and_is_drawn_without_it(teacher, tmp_path):
    counts = [
        sum(p.numel() for p in build(compose("train", [f"experiment={each}"]).model.generator).parameters())
        for each in ("biggan/digits", "tiny_gan/digits")
    ]
    assert counts == [48_194, 4_042]
    typed = [*STUDENT, f"model.teacher.run={teacher.path}", f"paths.outputs={tmp_path}"]
    before = {name: value.clone() for name, value in tiny.checkpoint(teacher)["state_dict"].items()}
    folder = tiny.run([*typed, "training.accumulate=2"])
    assert tiny.differences(tiny.checkpoint(teacher)["state_dict"], before) == []
    assert folder.record["parts"]["model.teacher"]["run"] == str(teacher.path)
    hidden = teacher.path.rename(teacher.path.with_name("away"))
    try:
        assert genexp.load_run(folder.path).samples(4).shape == (4, 1, 8, 8)
    finally:
        hidden.rename(teacher.path)


REFUSED = {
    "model.generator.latent_size=12": r"must have the latents of its teacher, \(24,\), got \(12,\)",
    "model.data_weight=-1": "must be at least 0, got -1",
    "model.feature=-1": "must be at least 0, got -1",
    "data.num_classes=null": "must be told what the student is",
}


def test_features_of_packs_are_no_features_of_images():
    class Teacher:
        latent_shape, image_shape, conditioning = (4,), (1, 8, 8), Conditioning()

    def packed(**settings):
        critic = Critic(DCGANDiscriminator(8, 1, width=4, norm="none", pack=2), Hinge())
        of_players = {"generator_optimizer": torch.optim.SGD, "critic_optimizer": torch.optim.SGD}
        return StudentGAN(DCGANGenerator(8, 1, 4, width=4), critic, Teacher(), **of_players, **settings)

    with pytest.raises(ValueError, match=r"discriminator.pack must be 1 beside a teacher with feature above 0"):
        packed()
    packed(feature=0.0)


@pytest.mark.parametrize("typed", REFUSED)
def test_what_does_not_fit_the_teacher_is_refused_before_training(teacher, typed):
    told = problems_of("train", [*STUDENT, f"model.teacher.run={teacher.path}", typed])
    assert any(re.search(REFUSED[typed], each) for each in told), told
