"""Latent consistency: the boundary, guided paths in closed form, the average that it agrees with, students of runs."""

import math
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import genexp
import tiny
from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.config.check import problems_of
from genexp.diffusion.continuous import CosineContinuous, RectifiedFlow
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.exploding import NoiseLevel
from genexp.diffusion.fitting import NAMED
from genexp.diffusion.latent_consistency import LatentConsistency
from genexp.diffusion.objective import PseudoHuber, WeightedError
from genexp.diffusion.prediction import Bounded, Epsilon, Sample, Velocity
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.weighting import UniformSample
from genexp.families.diffusion import Diffusion
from genexp.sampling.consistency import ConsistencySampler
from genexp.sampling.guidance import ClassifierFree
from genexp.tensors import IndexedNoise, expand_to

STD, MEAN, SCALE = 0.5, 0.3, 3.0
CIRCLE, IMAGE = CosineContinuous(), Sample()
BOUNDED = Bounded(IMAGE)
OF_CLASSES = Conditioning.of(1, left_out=0.1)
SCHEDULES = [CosineContinuous(), RectifiedFlow(), NoiseLevel(), Cosine(), Linear()]


def gaussian(x_t, levels, mean):
    """The posterior mean of N(mean, STD^2)."""
    alpha, sigma = (expand_to(each, x_t) for each in levels)
    return mean + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x_t - alpha * mean)


class OfPoints:
    image_shape, conditioning = (1,), OF_CLASSES

    def __init__(self, schedule):
        self.schedule = schedule


class Told(OfPoints):
    """Knows N(MEAN, STD^2) for its class and N(0, STD^2) for none: guided, N(SCALE MEAN, STD^2) exactly."""

    network, codec, prediction = None, None, Sample()

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        label = condition.get("label", torch.ones_like(t, dtype=torch.int64))
        mean = expand_to(torch.where(label == 0, MEAN, 0.0).double(), x_t)
        return gaussian(x_t, self.schedule(t, torch.float64), mean)


class Exact(OfPoints):
    """The image that the guided path of `Told` from a noisy one ends at."""

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        alpha, sigma = (expand_to(each, x_t) for each in self.schedule(t, torch.float64))
        return SCALE * MEAN + (x_t - alpha * SCALE * MEAN) * STD / (alpha**2 * STD**2 + sigma**2).sqrt()


def goal_of(schedule, **more):
    goal = LatentConsistency(Told(schedule), guidance=ClassifierFree(SCALE), half_life=None, **more)
    goal._guided = goal.guidance(goal.teacher)
    return goal


@pytest.mark.parametrize("inside", NAMED.values(), ids=NAMED)
def test_an_image_without_noise_is_left_as_it_is_whatever_the_network_says(inside):
    bounded, x, one = Bounded(inside), torch.randn(5).double(), torch.ones(5).double()
    assert torch.equal(bounded.to_sample(100 * torch.randn(5).double(), x, one, 0 * one), x)
    alpha, sigma = (torch.tensor(f([0.002, 0.9, 1.5])).double() for f in (np.cos, np.sin))
    x, noise, output, bit = torch.randn(4, 3).double()
    x_t, e = alpha * x + sigma * noise, 0.001
    target = bounded.target(x, noise, alpha, sigma)
    torch.testing.assert_close(bounded.to_sample(target, x_t, alpha, sigma), x)
    n = sigma / alpha
    kept, out = e**2 / (n**2 + e**2), n / (n**2 + e**2).sqrt()
    expected = kept * x_t / alpha + out * inside.to_sample(output, x_t, alpha, sigma)
    torch.testing.assert_close(bounded.to_sample(output, x_t, alpha, sigma), expected)
    moved = bounded.to_sample(output + bit, x_t, alpha, sigma) - expected
    torch.testing.assert_close(moved.abs(), (bit * bounded.scale(alpha, sigma)).abs(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "schedule", [CosineContinuous(), RectifiedFlow(), NoiseLevel()], ids=lambda s: type(s).__name__
)
def test_the_image_of_a_guided_path_is_what_is_taught_but_for_the_second_power_of_a_step(schedule):
    goal, model, errors = goal_of(schedule), Exact(schedule), []
    x_t, t = torch.tensor([[1.3]]).double(), torch.tensor([0.6]).double()
    label = {"label": torch.zeros(1, dtype=torch.int64)}
    for width in (0.01, 0.005):
        said = goal(model, x_t, t, t - width, x_t, x_t, label)
        errors.append(abs(float(said - model(x_t, t))))
    assert 1.9 < math.log2(errors[0] / errors[1]) < 2.1
    unguided = LatentConsistency(Told(schedule), half_life=None)
    unguided._guided = unguided.teacher
    assert abs(float(unguided(model, x_t, t, t - 0.005, x_t, x_t, label) - model(x_t, t))) > 10 * errors[1]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda each: type(each).__name__)
def test_times_are_those_of_any_training_and_of_a_part_before(schedule):
    goal, place = goal_of(schedule, steps=4), (torch.arange(8) + 0.5).double() / 8
    t, s = goal.times(place, schedule, 0)
    assert torch.equal(t, schedule.times(place))
    assert torch.equal(s[:2], torch.zeros_like(s[:2]))
    torch.testing.assert_close(s[2:], t[:-2])
    assert s.dtype == t.dtype
    x_t, label = torch.ones(8, 1).double(), {"label": torch.zeros(8, dtype=torch.int64)}
    found = goal(Exact(schedule), x_t, t, s, x_t, x_t, label)
    guided = gaussian(x_t, schedule(t, torch.float64), SCALE * MEAN)
    torch.testing.assert_close(found[:2], guided[:2])  # a step to time 0 ends at what the teacher says


@pytest.mark.parametrize("schedule", [Cosine(), CosineContinuous()], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_the_exact_function_draws_the_guided_gaussian_in_one_to_four_steps(schedule, steps):
    count = 20_000
    start, noise = IndexedNoise(0, range(count)).normal(1).double(), IndexedNoise(1, range(count))
    label = {"label": torch.zeros(count, dtype=torch.int64)}
    found = ConsistencySampler(steps, clip=False).run(Exact(schedule), start, noise, label)
    assert abs(float(found.mean()) - SCALE * MEAN) < 0.015
    assert abs(float(found.std()) - STD) < 0.01


class Line(nn.Module):
    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(float(slope)))
        self.register_buffer("count", torch.tensor(0))

    def forward(self, seen, embedded, condition=UNCONDITIONAL):
        return self.slope * seen


class Finished(Told):
    """A teacher of `Line`, which knows nothing."""

    def __init__(self, schedule, prediction=IMAGE, slope=0.5):
        super().__init__(schedule)
        self.network, self.prediction = Line(slope), prediction


def student(schedule=CIRCLE, prediction=BOUNDED, **more):
    more = {"objective": PseudoHuber(), **more}
    return NetworkDenoiser(Line(0.0), schedule, prediction, UniformSample(), (1,), OF_CLASSES, **more)


def test_an_average_of_the_student_begins_as_its_teacher_and_is_what_is_agreed_with():
    schedule, model = CosineContinuous(), student()
    goal = LatentConsistency(Finished(schedule), guidance=ClassifierFree(SCALE), half_life=100)
    goal.begin(model)
    assert float(model.network.slope) == float(goal.target.slope) == 0.5
    with torch.no_grad():
        model.network.slope.fill_(1.5)
        model.network.count.fill_(3)
    goal.follow(model, 100)
    assert float(goal.target.slope) == 1.0  # half of the way
    assert int(goal.target.count) == 3
    assert not goal.target.slope.requires_grad
    x_t, t, s = torch.ones(1, 1), torch.tensor([0.8]), torch.tensor([0.7])
    goal.half_life = None
    found = goal(model, x_t, t, s, x_t, x_t, {"label": torch.tensor([0])})
    own = model.network.slope
    assert float(own) == 1.5
    fresh = LatentConsistency(goal.teacher, guidance=goal.guidance, half_life=None)
    fresh._guided = goal._guided
    other = fresh(model, x_t, t, s, x_t, x_t, {"label": torch.tensor([0])})
    torch.testing.assert_close(other, 1.5 * found, rtol=1e-4, atol=0)  # the student itself where there is no average


def test_what_cannot_be_distilled_is_refused():
    schedule = CosineContinuous()
    for name, value in (("steps", 1), ("half_life", 0)):
        with pytest.raises(ValueError, match=f"{name} must be .*, got {value}"):
            LatentConsistency(Finished(schedule), **{name: value})
    with pytest.raises(
        ValueError, match=r"prediction must leave an image at the time 0 as it is, as bounded does, got S"
    ):
        LatentConsistency(Finished(schedule)).begin(student(prediction=Sample()))
    with pytest.raises(ValueError, match=r"prediction must be that of the teacher, Sample, .* got Epsilon"):
        LatentConsistency(Finished(schedule)).begin(student(prediction=Bounded(Epsilon())))
    LatentConsistency(Finished(schedule, Velocity())).begin(student(prediction=Velocity()))  # keeps the image by itself
    with pytest.raises(ValueError, match="at most as many steps as there are times, 1000, got 1001"):
        LatentConsistency(Finished(Linear()), 1001).begin(student(Linear()))
    with pytest.raises(ValueError, match="noise levels of the student"):
        LatentConsistency(Finished(Cosine())).begin(student(Linear()))
    with pytest.raises(ValueError, match=r"goal must not clip what is said of codes, .*, got clip true"):
        LatentConsistency(OfCodes(CosineContinuous()), clip=True).begin(student(CosineContinuous()))
    with pytest.raises(ValueError, match="edge must be above 0, got 0"):
        Bounded(Sample(), 0)


class OfCodes(Finished):
    codec = object()


def test_teachers_of_codes_teach_students_of_codes_alone():
    parts = (Line(0), CosineContinuous(), Bounded(Sample()), UniformSample())
    with pytest.raises(ValueError, match="a teacher of what the student is of"):
        Diffusion(*parts, None, (1,), num_classes=1, goal=LatentConsistency(OfCodes(CosineContinuous())))


@pytest.mark.slow
def test_a_run_teaches_another_which_resumes_bit_for_bit_and_draws_without_it(tmp_path):
    few = [*tiny.COMMON, *tiny.LENGTH, "model.network.width=16", "metrics=none", "data.limit=100"]
    teacher = tiny.run(["experiment=lcm/teacher_digits", *few, f"paths.outputs={tmp_path / 'before'}"]).path
    typed = ["experiment=lcm/digits", *few, f"model.goal.teacher.run={teacher}", "sampler.steps=2"]
    wrong = problems_of("train", [*typed, "model/prediction@model.prediction.inside=epsilon"], here=True)
    assert wrong == ["model.prediction: must be that of the teacher, Velocity, or one that bounds it, got Epsilon"]
    typed += ["ramp@model.learning_rate=constant"]
    whole = tiny.run([*typed, f"paths.outputs={tmp_path / 'whole'}"])
    part = [*typed, f"paths.outputs={tmp_path / 'part'}"]
    half = tiny.run([*part, "training.max_images=192"])
    tiny.run([*part, f"resume={half.path}"])
    one, other = (tiny.checkpoint(each)["state_dict"] for each in (whole, tiny.newest(tmp_path / "part")))
    assert any(name.startswith("goal.target.") for name in one)
    assert tiny.differences(one, other) == []
    shutil.rmtree(teacher)
    assert genexp.load_run(whole.path).samples(3).shape == (3, 1, 8, 8)


@pytest.mark.slow
def test_a_run_of_codes_teaches_another_of_the_same_codes(tmp_path):
    few = [*tiny.COMMON, "data.batch_size=4", "training.max_images=4", "metrics=none", "sampler.steps=2"]
    few += ["experiment=ldm/shapes", "data.source.train_images=960", "data.source.test_images=960"]
    few += ["model.network.width=16", "model/prediction=velocity", "callbacks.sample_grid=null"]
    teacher = tiny.run([*few, f"paths.outputs={tmp_path / 'before'}"]).path
    few += ["model/goal=latent_consistency", f"model.goal.teacher.run={teacher}", "model/objective=pseudo_huber"]
    few += ["sampler/guidance@model.goal.guidance=none", "model/weighting=uniform_sample", "sampler=consistency"]
    few += ["sampler.clip=false", "sampler.steps=2", f"paths.outputs={tmp_path / 'after'}"]
    folder = tiny.run(few)  # the velocity keeps an image without noise by itself
    assert genexp.load_run(folder.path).samples(2).shape == (2, 3, 64, 64)


def test_a_squared_error_serves_as_well():
    model = student(objective=WeightedError())
    LatentConsistency(Finished(CosineContinuous())).begin(model)
    x, t = torch.ones(2, 1), torch.tensor([0.5, 0.5])
    loss = model.loss(x, t, torch.zeros(2, 1), goal=lambda x_t: 0 * x_t)
    torch.testing.assert_close(loss, model(model.schedule(t)[0][:, None] * x, t).square().mean(1), rtol=1e-4, atol=0)
