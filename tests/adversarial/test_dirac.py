"""The Dirac GAN: what each regulariser does to two numbers that chase each other, against the eigenvalues of the game.

The data are a point at 0, G a point theta, D(x) = psi x; the steps are those of the family's own losses. With the
logistic objective the game has the Jacobian [[0, -1/2], [1/2, 0]] in (psi, theta) at its equilibrium.

Reference: Mescheder, Geiger and Nowozin, "Which Training Methods for GANs do actually Converge?" (2018), section 3.
"""

import functools

import pytest
import torch
from torch import nn

from genexp.adversarial.augmentations import InstanceNoise
from genexp.adversarial.consensus import Consensus
from genexp.adversarial.constraints import WeightClip
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import Minimax, NonSaturating, Wasserstein
from genexp.adversarial.penalties import DRAGAN, R1, R2, GradientPenalty
from genexp.conditioning.base import UNCONDITIONAL
from genexp.families.gan import GAN
from genexp.ramps import Constant

STEP, COUNT, SIGMA = 0.1, 64, 1.2
SGD = functools.partial(torch.optim.SGD, lr=STEP)


class Slope(nn.Module):
    """D(x) = psi x."""

    def __init__(self):
        super().__init__()
        self.psi = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, image, condition=UNCONDITIONAL):
        return self.psi * image.squeeze(1)


class Point(nn.Module):
    """G(z) = theta."""

    latent_shape = (1,)

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, latent, condition=UNCONDITIONAL):
        return self.theta.expand(len(latent), 1)


LOGISTIC = NonSaturating()


def game(objective=LOGISTIC, penalties=None, augmentations=None, constraints=None, consensus=None):
    critic = Critic(Slope(), objective, penalties, constraints=constraints, augmentations=augmentations)
    return GAN(Point(), critic, SGD, SGD, consensus=consensus)


def drawn(model):
    """A batch whose noise is spread evenly over the normal law, with its mean and variance exactly."""
    part = {name: torch.zeros(COUNT, 1, dtype=torch.float64) for name in ("image", "latent")}
    part |= model.critic.draw(part["image"])
    places = (torch.arange(COUNT, dtype=torch.float64) + 0.5) / COUNT
    normal = torch.special.ndtri(places)[:, None]
    normal /= normal.square().mean().sqrt()
    noise = {name: SIGMA * normal for name in part if name.startswith("augmentations/")}
    return part | {"mix": places} | noise


def path(model, steps, alternating, start=1e-3):
    """(psi, theta) before the first and after every step of both players, from (start, start)."""
    psi, theta = model.critic.discriminator.psi, model.generator.theta
    psi.data.fill_(start)
    theta.data.fill_(start)
    part, found = drawn(model), [(start, start)]
    for _ in range(steps):
        (of_psi,) = torch.autograd.grad(model._critic_terms(part)["loss"], psi)
        if alternating:
            psi.data -= STEP * of_psi
        (of_theta,) = torch.autograd.grad(model._generator_terms(part)["loss"], theta)
        if not alternating:
            psi.data -= STEP * of_psi
        theta.data -= STEP * of_theta
        model.critic.constrain()
        found.append((float(psi.detach()), float(theta.detach())))
    return torch.tensor(found, dtype=torch.float64)


def predicted(jacobian, alternating):
    """The linear update that steps along a Jacobian make."""
    step, one = STEP * torch.tensor(jacobian, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    if not alternating:
        return one + step
    first, second = one.clone(), one.clone()
    first[0] += step[0]
    second[1] += step[1]
    return second @ first


def fitted(found):
    """The linear update that leads from each point of a path to the next."""
    return torch.linalg.lstsq(found[:-1], found[1:]).solution.T


def eigenvalues(matrix):
    values = torch.linalg.eigvals(matrix)
    return values[values.imag.argsort()]


WEIGHT = 0.8
F1, F2 = 0.5, 0.25  # first and second derivative of softplus at 0
DAMPED = [[-WEIGHT, -F1], [F1, 0]]
GAMES = {
    "nothing": ({}, [[0, -F1], [F1, 0]]),
    "saturating": ({"objective": Minimax()}, [[0, -F1], [F1, 0]]),
    "r1": ({"penalties": {"r1": R1(WEIGHT)}}, DAMPED),
    "r2": ({"penalties": {"r2": R2(WEIGHT)}}, DAMPED),
    "zero-centred gradient penalty": ({"penalties": {"it": GradientPenalty(WEIGHT / 2, target=0.0)}}, DAMPED),
    "zero-centred dragan": ({"penalties": {"it": DRAGAN(WEIGHT / 2, target=0.0)}}, DAMPED),
    "instance noise": (
        {"augmentations": {"noise": InstanceNoise(Constant(SIGMA))}},
        [[-2 * F2 * SIGMA**2, -F1], [F1, 0]],
    ),
    "consensus": ({"consensus": Consensus(WEIGHT)}, [[-WEIGHT * F1**2, -F1], [F1, -WEIGHT * F1**2]]),
}


@pytest.mark.parametrize("alternating", [False, True], ids=["simultaneous", "alternating"])
@pytest.mark.parametrize("name", GAMES)
def test_near_the_equilibrium_the_game_moves_at_the_rate_of_its_eigenvalues(name, alternating):
    parts, jacobian = GAMES[name]
    expected = eigenvalues(predicted(jacobian, alternating))
    found = eigenvalues(fitted(path(game(**parts), 60, alternating)))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    factor = float(found.abs().max())
    if name not in ("nothing", "saturating"):
        assert factor < 0.985  # towards the equilibrium
    elif alternating:
        assert factor == pytest.approx(1, abs=1e-6)  # round it for ever
    else:
        assert factor == pytest.approx((1 + (STEP * F1) ** 2) ** 0.5, abs=1e-6)  # outwards


def test_eigenvalues_are_those_of_the_paper():
    """Of gradient flow: -gamma/2 +- sqrt(gamma^2/4 - f'^2), f'' s^2 +- sqrt(f''^2 s^4 - f'^2), -gamma f'^2 +- i f'."""
    found = {name: eigenvalues(torch.tensor(matrix, dtype=torch.float64)) for name, (_, matrix) in GAMES.items()}
    for name, mean in {"r1": WEIGHT / 2, "instance noise": F2 * SIGMA**2}.items():
        turn = (F1**2 - mean**2) ** 0.5
        assert found[name].tolist() == pytest.approx([-mean - turn * 1j, -mean + turn * 1j])
    assert found["consensus"].tolist() == pytest.approx([-WEIGHT * F1**2 - F1 * 1j, -WEIGHT * F1**2 + F1 * 1j])


@pytest.mark.parametrize(
    "parts",
    [{"penalties": {"it": GradientPenalty(1.0)}}, {"constraints": {"clip": WeightClip(0.3)}}],
    ids=["one-centred gradient penalty", "weight clipping"],
)
def test_wasserstein_critics_do_not_converge(parts):
    found = path(game(Wasserstein(), **parts), 600, alternating=True, start=1.0).norm(dim=1)
    assert float(found[-200:].max()) > 0.1


def test_far_from_the_equilibrium_the_saturating_game_orbits_and_what_is_damped_comes_in():
    """The non-saturating one loses psi theta tanh(psi theta / 2) of its radius, which is no rate: it slows down."""
    for name in ("saturating", "nothing", "r1", "instance noise", "consensus"):
        found = path(game(**GAMES[name][0]), 250, alternating=True, start=1.0).norm(dim=1)
        if name == "saturating":
            assert 1.3 < float(found.min()) < float(found.max()) < 1.55
        elif name == "nothing":
            assert float(found[-1]) > 0.3
        else:
            assert float(found[-1]) < 0.05, name
