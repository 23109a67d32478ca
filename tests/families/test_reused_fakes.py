"""Fakes that are made once for both players: what is learned of them, how often they are made, what refuses them."""

import copy

import pytest
import torch

from games import ADAM, SGD, digits_like, fit
from genexp.adversarial.consensus import Consensus
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import NonSaturating
from genexp.families.gan import GAN
from genexp.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genexp.tensors import mix_seed, seed_generators


def game(optimizer=SGD, norm="batch", **options):
    torch.manual_seed(0)
    critic = Critic(DCGANDiscriminator(8, 1, width=4, norm="none", base_size=2), NonSaturating())
    return GAN(DCGANGenerator(8, 1, 4, width=4, norm=norm), critic, optimizer, optimizer, **options)


@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
def test_both_players_step_as_in_a_loop_that_makes_one_fake_a_batch(optimizer):
    batches = digits_like(3, 6)
    found = fit(game(optimizer, reuse_fakes=True), batches)
    expected = game(optimizer)
    steps = {name: update.made(update.parameters()) for name, update in expected.updates.items()}
    for number, batch in enumerate(batches):
        seed_generators(mix_seed(0, 0, number), torch.device("cpu"))
        fake = expected.generator(torch.randn(6, *expected.latent_shape), {})
        steps["critic"].zero_grad()
        expected.critic.loss(batch["image"], fake.detach())["loss"].mean().backward()
        steps["critic"].step()
        steps["generator"].zero_grad()
        expected.critic.generator_loss(batch["image"], fake).mean().backward()
        steps["generator"].step()
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, rtol=1e-5, atol=1e-7)
    apart = fit(game(optimizer), batches).state_dict()
    assert any(not torch.equal(apart[name], value) for name, value in found.state_dict().items())


@pytest.mark.parametrize(("reuse", "critic_steps", "made"), [(False, 1, 12), (True, 1, 6), (False, 3, 8), (True, 3, 6)])
def test_a_fake_is_made_once_where_both_players_have_their_turn(reuse, critic_steps, made):
    model, calls = game(reuse_fakes=reuse, critic_steps=critic_steps), []
    model.generator.register_forward_hook(lambda *_: calls.append(1))
    fit(model, digits_like(6, 4))
    assert len(calls) == made
    assert model.steps["generator"] == 6 // critic_steps


def test_the_waiting_player_is_left_as_it_was():
    model = game(reuse_fakes=True, critic_steps=2)
    before = copy.deepcopy(model.generator.state_dict())
    fit(model, digits_like(1, 4))
    assert all(torch.equal(before[name], value) for name, value in model.generator.state_dict().items())


def test_what_has_no_such_fakes_is_refused_by_name():
    with pytest.raises(ValueError, match=r"accumulate must be 1 with model\.reuse_fakes=true \(whole batches\), got 2"):
        game(reuse_fakes=True).arrange(accumulate=2)
    with pytest.raises(ValueError, match=r"reuse_fakes must be false with model\.consensus, got true"):
        game(reuse_fakes=True, consensus=Consensus())
