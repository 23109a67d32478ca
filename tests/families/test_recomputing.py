"""Blocks computed again in the backward pass: the same bits, computed twice; and what has no such blocks."""

from functools import partial

import pytest
import torch

from games import ADAM, digits_like, fit
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import NonSaturating
from genexp.adversarial.penalties import GradientPenalty
from genexp.diffusion.prediction import Epsilon
from genexp.diffusion.schedules import Cosine
from genexp.diffusion.weighting import UniformEpsilon
from genexp.families.base import Family
from genexp.families.diffusion import Diffusion
from genexp.families.gan import GAN
from genexp.networks.dit import DiT
from genexp.networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from genexp.networks.unet import UNet


def unet():
    return UNet(1, 8, width=8, multipliers=(1, 2), blocks=1, attention=(4,), dropout=0.3, groups=4)


def dit():
    return DiT(1, 8, width=16, depth=2, heads=2, patch_size=4)


def diffusion(network):
    torch.manual_seed(0)
    return Diffusion(network(), Cosine(10), Epsilon(), UniformEpsilon(), partial(torch.optim.Adam, lr=1e-2), (1, 8, 8))


@pytest.mark.parametrize("network", [unet, dit])
def test_weights_after_some_steps_are_the_same_bit_for_bit(network):
    kept = fit(diffusion(network), digits_like(3, 4))
    again = diffusion(network).arrange(recompute=True)
    calls = {False: 0, True: 0}

    def count(*_):
        calls[torch._C._current_graph_task_id() != -1] += 1  # whether a backward pass is going on

    blocks = again.network.middle.blocks if network is unet else again.network.blocks
    for block in blocks:
        next(block.children()).register_forward_hook(count)
    fit(again, digits_like(3, 4))
    assert calls[False] == calls[True] >= 3 * len(blocks)
    assert all(torch.equal(again.state_dict()[name], value) for name, value in kept.state_dict().items())


def test_a_game_with_a_penalty_of_second_derivatives_is_as_it_was():
    def trained(recompute):
        torch.manual_seed(0)
        discriminator = ResidualDiscriminator(8, 1, width=4, weight_norm="none")
        critic = Critic(discriminator, NonSaturating(), {"gradient_penalty": GradientPenalty()})
        model = GAN(ResidualGenerator(8, 1, 4, width=4, norm="none"), critic, ADAM, ADAM)
        return fit(model.arrange(recompute=recompute), digits_like(3, 4)).state_dict()

    kept, again = trained(False), trained(True)
    assert all(torch.equal(again[name], value) for name, value in kept.items())


def test_what_cannot_be_computed_again_is_refused_by_name():
    def game(weight_norm, norm):
        critic = Critic(ResidualDiscriminator(8, 1, width=4, weight_norm=weight_norm), NonSaturating())
        return GAN(ResidualGenerator(8, 1, 4, width=4, norm=norm), critic, ADAM, ADAM)

    for norms in (("spectral", "none"), ("none", "batch")):
        with pytest.raises(ValueError, match="recompute must be false with batch or spectral norm in a block"):
            game(*norms).arrange(recompute=True)
    with pytest.raises(ValueError, match="recompute must be false with compile=true"):
        diffusion(unet).arrange(recompute=True, compile=True)
    with pytest.raises(ValueError, match="recompute must be false for networks without a list of blocks, got true"):
        Family().arrange(recompute=True)
