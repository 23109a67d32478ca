"""Penalties against closed forms on critics whose gradient is known, and what they must not do."""

import pytest
import torch
from torch import nn

from genexp.adversarial.penalties import DRAGAN, R1, R2, GradientPenalty, score_gradient
from genexp.adversarial.steps import CriticStep
from genexp.conditioning.base import UNCONDITIONAL

PENALTIES = [GradientPenalty(), GradientPenalty(weight=3.0, target=0.0), R1(2.0), R2(2.0), DRAGAN()]


class Linear(nn.Module):
    """D(x) = w . x, with gradient w everywhere."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, image, condition=UNCONDITIONAL):
        return image.flatten(1) @ self.weight


class Quadratic(nn.Module):
    """D(x) = a ||x||^2 / 2, with gradient a x."""

    def __init__(self, curvature):
        super().__init__()
        self.curvature = nn.Parameter(torch.tensor(curvature))

    def forward(self, image, condition=UNCONDITIONAL):
        return self.curvature * image.flatten(1).square().sum(1) / 2


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 6, 1, 4, 4, generator=generator)


def test_a_linear_critic_gives_the_closed_forms(images):
    real, fake = images
    weight = torch.linspace(-1, 1, 16)
    square = weight.square().sum()
    critic = Linear(weight)
    torch.testing.assert_close(
        GradientPenalty(10.0)(CriticStep(critic, real, fake)), (10 * (square.sqrt() - 1) ** 2).expand(6)
    )
    torch.testing.assert_close(R1(3.0)(CriticStep(critic, real, fake)), (3 / 2 * square).expand(6))
    torch.testing.assert_close(R2(3.0)(CriticStep(critic, real, fake)), (3 / 2 * square).expand(6))


def test_penalties_look_at_the_right_points(images):
    real, fake = images
    mix = torch.linspace(0, 1, 6)
    critic = Quadratic(0.5)
    norm = lambda image: 0.5 * image.flatten(1).norm(dim=1)  # noqa: E731
    between = mix[:, None, None, None] * real + (1 - mix)[:, None, None, None] * fake
    torch.testing.assert_close(GradientPenalty(1.0)(CriticStep(critic, real, fake, mix=mix)), (norm(between) - 1) ** 2)
    torch.testing.assert_close(R1(1.0)(CriticStep(critic, real, fake)), norm(real) ** 2 / 2)
    torch.testing.assert_close(R2(1.0)(CriticStep(critic, real, fake)), norm(fake) ** 2 / 2)


def test_the_gradient_of_a_penalty_is_that_of_its_closed_form(images):
    real, fake = images
    critic = Quadratic(0.5)
    R1(4.0)(CriticStep(critic, real, fake)).mean().backward()
    expected = 4 * 0.5 * real.flatten(1).square().sum(1).mean()  # d/da of (4 / 2) a^2 ||x||^2
    torch.testing.assert_close(critic.curvature.grad, expected)


def test_a_network_is_penalised_as_autograd_does_by_hand(images):
    real, fake = images
    torch.manual_seed(1)
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(16, 1))
    critic = Labelled(body)
    mix = torch.rand(6)
    ours = GradientPenalty(10.0)(CriticStep(critic, real, fake, torch.zeros(6), mix))
    for i in range(6):
        point = (mix[i] * real[i] + (1 - mix[i]) * fake[i]).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(body(point[None]).squeeze(), point)
        torch.testing.assert_close(ours[i], 10 * (gradient.norm() - 1) ** 2)


class Labelled(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, image, condition):
        return self.body(image).squeeze(1)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_a_flat_critic_has_finite_gradients(penalty, images):
    critic = Linear(torch.zeros(16))
    value = penalty(CriticStep(critic, *images))
    value.mean().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(critic.weight.grad).all()


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_no_gradient_reaches_the_images(penalty, images):
    real, fake = (image.clone().requires_grad_() for image in images)
    penalty(CriticStep(Quadratic(0.5), real * 1, fake * 1)).mean().backward()
    assert real.grad is None
    assert fake.grad is None


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_autocast_does_not_change_a_penalty(penalty, images):
    real, fake = images
    torch.manual_seed(1)
    critic = Labelled(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 1)))
    mix = torch.rand(6)
    step = CriticStep(critic, real, fake, None, mix, noise=torch.rand_like(real))
    expected = penalty(step)
    with torch.autocast("cpu", torch.bfloat16):
        value = penalty(step)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


def test_half_precision_fakes_are_scored_in_the_precision_of_the_weights(images):
    real, fake = images
    gradient = score_gradient(CriticStep(Linear(torch.ones(16)), fake, fake), fake.bfloat16())
    assert gradient.dtype == torch.float32
    assert R2(2.0)(CriticStep(Linear(torch.ones(16)), real, fake.bfloat16())).dtype == torch.float32


def test_without_mix_the_points_lie_between_real_and_fake():
    torch.manual_seed(0)
    real, fake = torch.ones(1000, 1), torch.zeros(1000, 1)
    norm = GradientPenalty(1.0, target=0.0)(CriticStep(Quadratic(1.0), real, fake)).detach().sqrt()  # |x| itself
    assert 0 <= norm.min() < 0.01
    assert 0.99 < norm.max() <= 1
    assert abs(float(norm.mean()) - 0.5) < 0.03


def test_dragan_looks_around_the_data(images):
    real, fake = images
    mix, noise = torch.linspace(0, 1, 6), torch.rand_like(real)
    step = CriticStep(Quadratic(0.5), real, fake, mix=mix, noise=noise)
    norm = 0.5 * (real + mix[:, None, None, None] * noise).flatten(1).norm(dim=1)
    torch.testing.assert_close(DRAGAN(1.0)(step), (norm - 1) ** 2)
    drawn = DRAGAN(spread=0.5).draw(real, 0)
    assert drawn.min() >= 0
    assert drawn.max() <= 0.5 * real.std()


def test_a_penalty_differentiates_through_what_the_critic_sees(images):
    real, fake = images
    step = CriticStep(Linear(torch.ones(16)), real, fake, view=lambda image, condition, side: (3 * image, condition))
    torch.testing.assert_close(R1(2.0)(step), torch.full((6,), 9 * 16.0))
