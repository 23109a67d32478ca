"""Progressive distillation: a student's step is two of its teacher's, and it begins as its teacher."""

import shutil
from pathlib import Path

import pytest
import torch

import genexp
import tiny
from exact_denoisers import Mixture
from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.config.check import problems_of
from genexp.diffusion.consistency import Consistency
from genexp.diffusion.continuous import CosineContinuous, RectifiedFlow
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.exploding import NoiseLevel
from genexp.diffusion.goal import ProgressiveDistillation
from genexp.diffusion.objective import Hybrid
from genexp.diffusion.prediction import Consistent, Epsilon, Preconditioned, Sample, Velocity
from genexp.diffusion.rescaled import ZeroTerminalSNR
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.weighting import TruncatedSNR, UniformVelocity
from genexp.inference.trained import TrainedTeacher
from genexp.networks.mlp import MLPDenoiser
from genexp.sampling.ddim import DDIM
from genexp.tensors import IndexedNoise

STORED = Path(__file__).parents[1] / "earlier_runs" / "toy"
SCHEDULES = [CosineContinuous(), RectifiedFlow(), NoiseLevel(0.01, 20.0), Cosine(), ZeroTerminalSNR(Linear())]


class Exact(Mixture):
    """An exact teacher of a mixture of two Gaussians."""

    network, distilled_to = None, None


class Student:
    """A denoiser that says exactly what it is taught."""

    conditioning, image_shape = Conditioning(), (1,)

    def __init__(self, goal, schedule):
        self.goal, self.schedule = goal, schedule

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        return self.goal(self, x_t, t, t - t.new_tensor(self.schedule.last / self.goal.steps), x_t, x_t, condition)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(("steps", "clip"), [(1, False), (5, False), (5, True)])
def test_a_student_without_error_draws_what_its_teacher_does_in_twice_the_steps(schedule, steps, clip):
    teacher = Exact(schedule, mean=0.7, std=0.2)
    student = Student(ProgressiveDistillation(teacher, steps, clip), schedule)
    start, noise = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None], IndexedNoise(0, range(9))
    twice = DDIM(2 * steps, clip=clip).run(teacher, start, noise)
    torch.testing.assert_close(DDIM(steps, clip=False).run(student, start, noise), twice, rtol=0, atol=1e-9)
    assert teacher.calls == 4 * steps


@pytest.mark.parametrize("schedule", [CosineContinuous(), Linear()], ids=lambda each: type(each).__name__)
def test_times_are_the_ends_of_steps_each_as_often(schedule):
    goal = ProgressiveDistillation(Exact(schedule), 4)
    t, s = goal.times((torch.arange(8) + 0.5) / 8, schedule, 0)
    parts = schedule.last / 4
    assert t.tolist() == [parts * (1 + i // 2) for i in range(8)]
    assert s.tolist() == [parts * (i // 2) for i in range(8)]
    assert t.is_floating_point() == (not schedule.discrete)


class Finished:
    """The teacher that a denoiser makes."""

    codec = None

    def __init__(self, denoiser, distilled_to=None):
        self.network, self.schedule, self.distilled_to = denoiser.network, denoiser.schedule, distilled_to
        self.image_shape, self.conditioning = denoiser.image_shape, denoiser.conditioning
        self.prediction = denoiser.prediction


CIRCLE, VELOCITY, TRUNCATED = CosineContinuous(), Velocity(), TruncatedSNR()


def denoiser(schedule=CIRCLE, width=8, prediction=VELOCITY, weighting=TRUNCATED, **more):
    network = MLPDenoiser((2,), width=width, depth=1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return NetworkDenoiser(network, schedule, prediction, weighting, (2,), **more)


def test_a_student_begins_with_the_weights_of_its_teacher():
    teacher, student = denoiser(), denoiser()
    ProgressiveDistillation(Finished(teacher), 4).begin(student)
    x, t = torch.randn(3, 2), torch.tensor([0.2, 0.5, 1.0])
    assert torch.equal(student(x, t), teacher(x, t))
    assert student.network is not teacher.network


def test_the_loss_is_the_weighted_error_of_the_goal():
    student, schedule = denoiser(weighting=UniformVelocity()), CosineContinuous()
    x, noise, t = torch.randn(3, 2), torch.randn(3, 2), torch.tensor([0.2, 0.5, 0.9])
    loss = student.loss(x, t, noise, goal=lambda x_t: 0.1 * x_t)
    alpha, sigma = (level[:, None] for level in schedule(t))
    x_t = alpha * x + sigma * noise
    expected = (student(x_t, t) - 0.1 * x_t).square().mean(1) / sigma[:, 0] ** 2  # SNR + 1 is 1 / sigma^2
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_distilled_is_refused():
    teacher = Finished(denoiser())
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        ProgressiveDistillation(teacher, 0)
    of_codes = Finished(denoiser())
    of_codes.codec = object()
    with pytest.raises(ValueError, match="goal must not clip what is said of codes"):
        ProgressiveDistillation(of_codes, 4).begin(denoiser())
    with pytest.raises(ValueError, match="steps must be half the 16 that the teacher was distilled to, got 16"):
        ProgressiveDistillation(Finished(denoiser(), distilled_to=16), 16)
    assert ProgressiveDistillation(Finished(denoiser(), distilled_to=16), 8).steps == 8
    with pytest.raises(ValueError, match=r"go twice into the 1000 times of the schedule.*got 8"):
        ProgressiveDistillation(Finished(denoiser(Linear())), 8).begin(denoiser(Linear()))
    with pytest.raises(ValueError, match="noise levels of the student"):
        ProgressiveDistillation(teacher, 4).begin(denoiser(CosineContinuous(-10.0)))
    with pytest.raises(ValueError, match=r"a teacher with the network of the student: .*size mismatch"):
        ProgressiveDistillation(teacher, 4).begin(denoiser(width=16))
    with pytest.raises(ValueError, match=r"prediction must be that of the teacher, Velocity, .* got Sample"):
        ProgressiveDistillation(teacher, 4).begin(denoiser(prediction=Sample()))
    of_edm = Finished(denoiser(NoiseLevel(), prediction=Preconditioned(0.5)))
    Consistency(1, teacher=of_edm).begin(denoiser(NoiseLevel(), prediction=Consistent(0.5)))
    with pytest.raises(ValueError, match=r"of the teacher, Preconditioned, .* got Consistent with other arguments"):
        Consistency(1, teacher=of_edm).begin(denoiser(NoiseLevel(), prediction=Consistent(0.6)))
    with pytest.raises(ValueError, match="objective must be weighted_error or pseudo_huber with a goal, got Hybrid"):
        ProgressiveDistillation(Finished(denoiser(Linear())), 5).begin(denoiser(Linear(), objective=Hybrid()))
    with pytest.raises(ValueError, match="prediction must lead back to the clean image"):
        denoiser(ZeroTerminalSNR(Linear()), prediction=Epsilon())


def test_a_run_teaches_another_which_draws_without_it(tmp_path):
    teacher = tmp_path / "teacher"
    shutil.copytree(STORED, teacher)
    typed = ["experiment=toy/diffusion_ring8", "model/goal=progressive", f"model.goal.teacher.run={teacher}"]
    width = genexp.load_run(teacher).config.model.network.width
    typed += ["model.goal.clip=false", f"model.network.width={width}"]
    (told,) = problems_of("train", [*typed, "model.goal.steps=3"], here=True)
    assert told.startswith("model.goal: must have steps that go twice into the 1000 times"), told
    typed += ["model.goal.steps=10", "sampler.steps=10", "metrics=none", "data.source.train_points=64"]
    typed += [*tiny.COMMON, *tiny.LENGTH, "training.max_images=32", f"paths.outputs={tmp_path / 'outputs'}"]
    student = tiny.run([each for each in typed if not each.startswith("callbacks.")]).path
    with pytest.raises(ValueError, match="steps must be half the 10 that the teacher was distilled to, got 10"):
        ProgressiveDistillation(TrainedTeacher(str(student)), 10)
    shutil.rmtree(teacher)
    assert genexp.load_run(student).samples(3).shape == (3, 2)
