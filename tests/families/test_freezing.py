"""Frozen layers: bitwise as they were after training of every family, in no optimiser, and never in a whole player."""

import logging

import lightning
import pytest
import torch

import tiny
from genexp.adversarial.unrolling import Unrolled
from genexp.callbacks.averaging import Averaging
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.config.instantiate import build

OF_GAN = ["critic.discriminator.body.0", "generator.seed", "generator.norms.0"]
GAME = [
    *("model.critic.penalties.r1.interval=2", "model/critic/constraints=weight_clip", "model.clip=0.5"),
    "model/generator_penalties=[path_length,historical_average]",
]


def made(family):
    node = compose("train", [f"model={family}", *tiny.SMALL.get(family, []), *(GAME if family == "gan" else [])]).model
    torch.manual_seed(0)
    return build(node)


def batches(count):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(count, 8, 1, 8, 8, generator=generator) * 2 - 1
    return [{"image": each, "label": torch.arange(8) % 10} for each in image]


def fit(model, *callbacks):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, torch.utils.data.DataLoader(batches(4), batch_size=None))
    return model


def first_layers(model):
    """Two layers with weights of the model, of which it has more."""
    owners = [name for name, module in model.named_modules() if list(module.parameters(recurse=False))]
    return owners[:2]


@pytest.mark.parametrize("family", ["gan", "vae", "diffusion", "classifier", "likelihood"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_frozen_layers_stay_bitwise_and_the_rest_moves(family, accumulate):
    model = made(family).arrange(accumulate=accumulate)
    layers = OF_GAN if family == "gan" else first_layers(model)
    before = {n: each.detach().clone() for n, each in [*model.named_parameters(), *model.named_buffers()]}
    averaging = Averaging(half_life=10.0)
    fit(model.freeze(layers), averaging)
    frozen = {*model.frozen_layers.parameters, *model.frozen_layers.buffers}
    assert frozen
    after = dict(model.named_parameters()) | dict(model.named_buffers())
    assert tiny.differences({n: after[n].detach() for n in frozen}, {n: before[n] for n in frozen}) == []
    moved = [n for n, p in model.named_parameters() if n not in frozen and not torch.equal(p, before[n])]
    assert len(moved) > 0.5 * len([n for n, _ in model.named_parameters() if n not in frozen])
    assert all(p.grad is None and not p.requires_grad for p in model.frozen_layers.parameters.values())
    for module, average in averaging.tracked[0].modules.items():
        for name in frozen & {f"{module}.{each}" for each in average}:
            assert torch.equal(average[name.removeprefix(f"{module}.")], before[name])
    held = {id(p) for optimizer in model.trainer.optimizers for g in optimizer.param_groups for p in g["params"]}
    assert not held & {id(p) for p in model.frozen_layers.parameters.values()}
    assert {id(p) for p in model.parameters()} - held == {id(p) for p in model.frozen_layers.parameters.values()}


def test_a_frozen_layer_computes_as_in_evaluation_in_training_too():
    model = made("gan").freeze(["generator.norms.0", "critic.discriminator.body.0"])
    model.train()
    norm, layer = model.generator.norms[0], model.critic.discriminator.body[0]
    assert not any(each.training for each in (*norm.modules(), *layer.modules()))
    assert model.generator.seed.training
    x = torch.randn(4, 8, 4, 4)
    alone = torch.cat([norm(each[None], None) for each in x])
    torch.testing.assert_close(norm(x, None), alone)  # not by the statistics of its batch


def test_unrolled_steps_leave_frozen_layers_of_the_critic():
    """Only what the critic's optimiser holds is stepped: at rate 0 nothing changes, frozen layers included."""
    model = made("gan").freeze(["critic.discriminator.body"])
    optimizer = torch.optim.SGD(model.frozen_layers.moving(list(model.critic.parameters())), lr=0.0)
    image, latent = batches(1)[0]["image"], torch.randn(8, *model.latent_shape)
    fake, drawn = model.generator(latent), model.critic.draw(image)
    model.critic.eval()
    seen = Unrolled(3).generator_loss(model.critic, optimizer, image, fake, {}, drawn)
    torch.testing.assert_close(seen, model.critic.generator_loss(image, fake, {}, drawn))
    optimizer.param_groups[0]["lr"] = 0.5
    assert not torch.allclose(Unrolled(3).generator_loss(model.critic, optimizer, image, fake, {}, drawn), seen)


REFUSED = {
    "training.freeze=[critic.discriminator.bdy.0]": "must name layers of the model that have weights, got "
    "critic.discriminator.bdy.0; did you mean critic.discriminator.body.0?",
    "training.freeze=[zzz]": "must name layers of the model that have weights, got zzz; layers there: critic, "
    "generator",
    "training.freeze=[critic.discriminator]": "must leave something of critic to train, got critic.discriminator, "
    "which is all of its 6 parameters",
    "training.freeze=[generator.*]": "must leave something of generator to train, got generator.*, which is all of its "
    "5 parameters",
    "training.freeze=generator": "must be a list of texts or null, got 'generator'",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_cannot_be_frozen_is_refused_by_name(typed):
    (told,) = problems_of("train", ["model=gan", typed])
    assert told.startswith(f"training.freeze: {REFUSED[typed]}")


def test_consensus_is_of_all_weights():
    (told,) = problems_of("train", ["model=gan", "model/consensus=gradients", "training.freeze=[generator.seed]"])
    assert told.startswith("training.freeze: must be null with model.consensus (of all weights), got")
