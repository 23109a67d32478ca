"""Consensus optimisation: its value and gradients by finite differences, one player a step, and what it refuses."""

import functools

import pytest
import torch

from games import Watched, digits_like, fit
from genexp.adversarial.consensus import Consensus
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import NonSaturating
from genexp.adversarial.penalties import R1
from genexp.adversarial.unrolling import Unrolled
from genexp.families.gan import GAN
from genexp.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genexp.networks.mlp import MLPDiscriminator, MLPGenerator

SGD = functools.partial(torch.optim.SGD, lr=0.01)


def points_game(**settings):
    torch.manual_seed(0)
    sizes = {"width": 4, "depth": 1, "activation": "tanh"}
    critic = Critic(MLPDiscriminator((2,), **sizes), NonSaturating(), {"r1": R1(0.3)})
    return GAN(MLPGenerator((2,), latent_size=2, **sizes), critic, SGD, SGD, **settings).double()


def batch(model):
    torch.manual_seed(1)
    return model._draw({"image": torch.randn(5, 2, dtype=torch.float64)})


def test_it_is_half_the_weighted_squared_norm_of_both_gradients():
    model, plain = points_game(consensus=Consensus(0.7)), points_game()
    part = batch(model)
    of_critic = torch.autograd.grad(plain._critic_terms(part)["loss"], [*plain.critic.parameters()])
    of_generator = torch.autograd.grad(plain._generator_terms(part)["loss"], [*plain.generator.parameters()])
    expected = 0.35 * sum(slope.square().sum() for slope in (*of_critic, *of_generator))
    for found, bare in ((model._critic_terms, plain._critic_terms), (model._generator_terms, plain._generator_terms)):
        torch.testing.assert_close(found(part)["consensus"], expected, check_dtype=False)
        torch.testing.assert_close(found(part)["loss"], bare(part)["loss"] + expected, check_dtype=False)


@pytest.mark.parametrize("player", ["critic", "generator"])
def test_its_gradient_is_that_of_finite_differences_while_the_other_player_takes_none(player):
    model = points_game(consensus=Consensus(0.7))
    part, terms = batch(model), {"critic": model._critic_terms, "generator": model._generator_terms}[player]
    for name, networks in model.players().items():
        for network in networks:
            network.requires_grad_(name == player)
    own = [*model.players()[player][0].parameters()]
    slopes = torch.autograd.grad(terms(part)["consensus"].double(), own)
    for parameter, slope in zip(own, slopes, strict=True):
        place, step = tuple(0 for _ in parameter.shape), 1e-3
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter[place] += sign * step
            values.append(float(terms(part)["consensus"].detach()))
            with torch.no_grad():
                parameter[place] -= sign * step
        assert float(slope[place]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-2, abs=1e-4)


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_one_player_moves_a_step_and_statistics_move_once(norm):
    def trained(consensus):
        torch.manual_seed(0)
        critic = Critic(DCGANDiscriminator(8, 1, width=4, norm=norm), NonSaturating())
        generator = DCGANGenerator(8, 1, 4, width=4, norm=norm)
        return fit(Watched(generator, critic, SGD, SGD, consensus=consensus), digits_like(1, 6))

    with_it, without = trained(Consensus(1e-12)), trained(None)
    for name, changed in with_it.changes:
        assert changed
        assert all(key.startswith(f"{name}.") for key in changed)
    for name, value in without.state_dict().items():
        torch.testing.assert_close(with_it.state_dict()[name], value)


def test_what_cannot_be_is_refused_by_name():
    with pytest.raises(ValueError, match="weight must be above 0, got 0"):
        Consensus(0)
    with pytest.raises(ValueError, match="consensus must be null with unrolled"):
        points_game(consensus=Consensus(), unrolled=Unrolled())
    model = points_game(consensus=Consensus())
    with pytest.raises(ValueError, match=r"accumulate must be 1 with model\.consensus \(whole batches\), got 2"):
        model.arrange(accumulate=2)
    with pytest.raises(
        ValueError, match=r"compile must be false with model\.consensus \(second derivatives\), got true"
    ):
        model.arrange(compile=True)
    with pytest.raises(ValueError, match=r"compile must be false with model\.unrolled"):
        points_game(unrolled=Unrolled()).arrange(compile=True)
    with pytest.raises(ValueError, match=r"recompute must be false with model\.unrolled, whose weights of the critic"):
        points_game(unrolled=Unrolled()).arrange(recompute=True)
