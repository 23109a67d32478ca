"""Learning rates by layers: parameter groups as made by hand, bit for bit, in every family and beside all else."""

import pytest
import torch
from tests.families.test_freezing import fit, made
from torch import nn

import tiny
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import Wasserstein
from genexp.adversarial.unrolling import Unrolled
from genexp.config.check import problems_of
from genexp.families.low_rank import LowRank
from genexp.networks.dcgan import DCGANDiscriminator

GAN = {"critic.discriminator.body.*": 0.25, "generator.seed": 3.0}
"""Below both players; the rest of either has 1."""
FACTORS = {"gan": GAN, "vae": {"decoder": 0.5, "decoder.body.1": 2.0}, "diffusion": {"network.*.weight": 0.125}}


def rates(model):
    """The factor of every parameter of a fitted model, by name, from its optimisers."""
    names = {id(p): name for name, p in model.named_parameters()}
    groups = [group for optimizer in model.trainer.optimizers for group in optimizer.param_groups]
    return {names[id(p)]: group["factor"] for group in groups for p in group["params"]}


def by_hand(model, rules):
    """A model whose optimisers are torch's own, with the parameter groups that rules of names say."""
    names = {id(p): name for name, p in model.named_parameters()}

    def configure():
        made = []
        for update in model.updates.values():
            groups = {}
            for parameter in update.parameters():
                groups.setdefault(rules(names[id(parameter)]), []).append(parameter)
            optimizer = update.optimizer([{"params": each} for each in groups.values()])
            for group, factor in zip(optimizer.param_groups, groups, strict=True):
                group["lr"] = group["lr"] * factor
            made.append(optimizer)
        return made

    model.configure_optimizers = configure
    return model


def state_after(model):
    return {name: value.detach().clone() for name, value in fit(model).state_dict().items()}


@pytest.mark.parametrize("family", FACTORS)
def test_steps_are_those_of_an_optimiser_with_groups_made_by_hand(family):
    rules = {
        "gan": lambda n: 0.25 if n.startswith("critic.discriminator.body.") else 3.0 if "generator.seed" in n else 1.0,
        "vae": lambda n: 2.0 if n.startswith("decoder.body.1.") else 0.5 if n.startswith("decoder.") else 1.0,
        "diffusion": lambda n: 0.125 if n.startswith("network.") and n.endswith(".weight") else 1.0,
    }
    model = made(family)
    model.set_rates(FACTORS[family])
    ours, hand = state_after(model), state_after(by_hand(made(family), rules[family]))
    assert tiny.differences(ours, hand) == []
    assert rates(model) == {name: rules[family](name) for name, _ in model.named_parameters()}
    assert {*FACTORS[family].values()} < {*rates(model).values()}
    assert tiny.differences(ours, state_after(made(family))) != []


@pytest.mark.parametrize("family", FACTORS)
def test_factors_of_one_change_no_bit(family):
    model = made(family)
    model.set_rates({"*": 1.0})
    assert tiny.differences(state_after(model), state_after(made(family))) == []


def test_the_first_step_of_plain_descent_is_as_many_times_as_long():
    moved = []
    for factor in (1.0, 0.25):
        model = made("diffusion")
        for update in model.updates.values():
            update.optimizer = lambda parameters: torch.optim.SGD(parameters, 0.1)
        model.set_rates({"network.middle": factor})
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        optimizer = model.configure_optimizers()[0]
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1 * factor][-len(optimizer.param_groups) :]
        torch.manual_seed(1)
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        moved.append({name: p.detach() - before[name] for name, p in model.named_parameters()})
    for name, step in moved[0].items():
        share = 0.25 if name.startswith("network.middle") else 1.0
        torch.testing.assert_close(moved[1][name], share * step, atol=1e-7, rtol=1e-4)


def test_the_ramp_acts_on_every_layer_and_the_log_has_the_rate_before_factors():
    model = made("diffusion")
    (update,) = model.updates.values()
    update.learning_rate = lambda images: 1 / (1 + images)
    model.set_rates({"*": 0.5, "network.middle": 0.1})
    fit(model)
    found = {group["factor"]: group["lr"] for group in model.trainer.optimizers[0].param_groups}
    rate = update.optimizer([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"] / (1 + 24)
    assert found == pytest.approx({0.5: 0.5 * rate, 0.1: 0.1 * rate})
    assert model.learning_rates()["train/learning_rate"] == pytest.approx(rate)


def test_frozen_layers_have_no_rate_and_updates_of_low_rank_have_that_of_their_layer():
    model = made("gan").freeze(["critic.discriminator.body.0"])
    model.set_rates({"critic": 0.5})
    fit(model)
    assert not any(name.startswith("critic.discriminator.body.0") for name in rates(model))
    assert {factor for name, factor in rates(model).items() if name.startswith("critic")} == {0.5}
    adapted = made("diffusion")
    adapted.freeze([], LowRank(rank=2).adapt(adapted))
    adapted.set_rates({"network.middle": 4.0})
    found = rates(fit(adapted))
    assert all(".parametrizations.weight.0." in name for name in found)
    assert {factor for name, factor in found.items() if name.startswith("network.middle")} == {4.0}
    assert {factor for name, factor in found.items() if not name.startswith("network.middle")} == {1.0}


def test_unrolled_steps_have_the_rates_of_the_layers():
    torch.manual_seed(0)
    critic = Critic(DCGANDiscriminator(8, 1, width=2, norm="none"), Wasserstein())
    first, *rest = critic.parameters()
    optimizer = torch.optim.SGD([{"params": rest, "lr": 0.2}, {"params": [first], "lr": 0.01}])
    real, fake = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8)
    seen = Unrolled(1).generator_loss(critic, optimizer, real, fake, {}, critic.draw(real))
    critic.loss(real, fake)["loss"].mean().backward()
    optimizer.step()
    torch.testing.assert_close(seen, critic.generator_loss(real, fake, {}))


REFUSED = {
    "{generator.sed: 0.1}": "must name layers of the model that have weights, got generator.sed; did you mean "
    "generator.seed?",
    "{generator.seed: 0}": "must be a mapping to numbers above 0 or null, got",
    "{generator.seed: 0.1, generator: 2}": "must name generator.seed after what contains it",
    "0.1": "must be a mapping to numbers above 0 or null, got 0.1",
    "{1: 2}": "must be a mapping to numbers above 0 or null, got {1: 2}",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_can_have_no_rate_of_its_own_is_refused_by_name(typed):
    (told,) = problems_of("train", ["model=gan", f"training.rate_factors={typed}"])
    assert told.startswith(f"training.rate_factors: {REFUSED[typed]}")


def test_frozen_layers_and_optimisers_of_one_rate_are_refused():
    frozen = ["training.freeze=[generator.seed]", "training.rate_factors={generator.seed: 0.1}"]
    (told,) = problems_of("train", ["model=gan", *frozen])
    assert told.startswith("training.rate_factors: must name layers that train, got generator.seed, of which nothing")
    typed = ["model=vae", "optimizer@model.optimizer=lbfgs", "training.rate_factors={decoder: 0.1}"]
    (told,) = problems_of("train", typed)
    assert told.startswith("training.rate_factors: must be null with an optimiser of one rate for all: LBFGS")


def test_a_resumed_run_goes_on_with_its_rates(tmp_path):
    typed = [*tiny.overrides_for("gan"), "data.batch_size=16", "training.evaluate_every=64", "metrics=none"]
    typed += ["training.rate_factors={critic.discriminator.body.*: 0.25, generator.seed: 2}"]
    typed += [f"ramp@model.{player}_learning_rate=constant" for player in ("generator", "critic")]
    whole = tiny.run([*typed, "training.max_images=64", f"paths.outputs={tmp_path}/whole"])
    half = tiny.run([*typed, "training.max_images=32", f"paths.outputs={tmp_path}/half"])
    further = [*typed, "training.max_images=64", f"paths.outputs={tmp_path}/half", f"resume={half.path}"]
    with pytest.raises(ValueError, match=r"training.rate_factors\S* must stay .* the groups of layers that it makes"):
        tiny.run([*further, "training.rate_factors={generator.seed: 3}"])
    tiny.run([*further, "model.critic_optimizer.eps=1e-8"])
    one, other = tiny.checkpoint(whole), tiny.checkpoint(half)
    for part in ("state_dict", "optimizer_states", "averaged", "counters"):
        assert tiny.differences(one[part], other[part], part) == []
