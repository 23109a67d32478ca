"""CycleGAN: both losses are the sums that the paper writes, and nothing asks a picture to belong to its image."""

import functools
import logging

import lightning
import pytest
import torch
from torch.nn.functional import l1_loss

from genexp.adversarial.adaptive import AdaptiveAugment
from genexp.adversarial.augmentations import DiffAugment
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import LeastSquares
from genexp.adversarial.penalties import R1
from genexp.adversarial.score_penalties import LeCam
from genexp.adversarial.unrolling import Unrolled
from genexp.conditioning.pictures import Picture
from genexp.families.cycle_gan import CycleGAN
from genexp.networks.patch import PatchDiscriminator
from genexp.networks.residual_translation import ResidualTranslation
from genexp.tensors import IndexedNoise

ADAM = functools.partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.999))
SGD = functools.partial(torch.optim.SGD, lr=1e-2)
SOURCE = {"source": Picture((1, 16, 16))}


def pairs(batches=2, size=4):
    generator = torch.Generator().manual_seed(0)
    image, source = torch.rand(2, batches, size, 1, 16, 16, generator=generator) * 2 - 1
    return [{"image": image[i], "source": source[i], "index": torch.arange(size)} for i in range(batches)]


def judge(**parts):
    torch.manual_seed(1)
    given = {"untold": ["source"], **parts}
    return Critic(PatchDiscriminator(16, 1, receptive_field=16, width=4), LeastSquares(), **given)


def translator(critic=None, back_critic=None, **options):
    torch.manual_seed(0)
    networks = [ResidualTranslation(1, SOURCE, width=4, blocks=1) for _ in range(2)]
    given = {"generator_optimizer": ADAM, "critic_optimizer": ADAM, "conditions": SOURCE, **options}
    return CycleGAN(networks[0], critic or judge(), networks[1], back_critic or judge(), **given)


def fit(model, batches):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **silent)
    trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))
    return model


def squares(scores, target):
    return (scores - target).square().mean()


@pytest.mark.parametrize("identity", [0.0, 5.0])
def test_the_generators_lose_what_the_paper_adds_up(identity):
    model, (batch, _) = translator(cycle_weight=10.0, identity_weight=identity), pairs()
    x, p, nothing = batch["image"], batch["source"], torch.zeros(4, 1)
    there, back = (lambda a: model.generator(nothing, {"source": a})), (lambda a: model.back(nothing, {"source": a}))
    fooled = squares(model.critic(there(p)), 1) + squares(model.back_critic(back(x)), 1)
    returned = l1_loss(back(there(p)), p) + l1_loss(there(back(x)), x)
    stayed = l1_loss(there(x), x) + l1_loss(back(p), p)
    expected = fooled + 10 * returned + identity * stayed
    terms = model._generator_terms(model._draw(batch))
    torch.testing.assert_close(terms["cycle"], returned)
    # both the objective and this one are means of squares, which code writes with or without a half
    scale = model.critic.generator_loss(x, there(p)).mean() / squares(model.critic(there(p)), 1)
    torch.testing.assert_close(terms["loss"], expected + (scale - 1) * fooled)
    wanted = torch.autograd.grad(expected + (scale.detach() - 1) * fooled, [*model.back.parameters()])
    found = torch.autograd.grad(terms["loss"], [*model.back.parameters()])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_each_critic_learns_of_its_own_kind():
    model, (batch, _) = translator(), pairs()
    terms = model._critic_terms(model._draw(batch))
    made = model.back(torch.zeros(4, 1), {"source": batch["image"]})
    alone = model.back_critic.loss(batch["source"], made)
    torch.testing.assert_close(terms["back_real"], alone["real"].mean())
    torch.testing.assert_close(terms["back_fake"], alone["fake"].mean())
    terms["loss"].backward()
    assert all(each.grad is None for each in [*model.generator.parameters(), *model.back.parameters()])
    assert all(each.grad is not None for each in [*model.critic.parameters(), *model.back_critic.parameters()])


def test_a_picture_need_not_belong_to_its_image():
    model, (batch, _) = translator(), pairs()
    dealt = {**batch, "source": batch["source"].roll(1, 0)}
    one, other = (model._generator_terms(model._draw(each)) for each in (batch, dealt))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name])


@pytest.mark.parametrize("parts", [{}, {"augmentations": {"a": DiffAugment()}, "penalties": {"r1": R1()}}])
def test_accumulation_changes_memory_and_nothing_else(parts):
    trained = []
    for accumulate in (1, 2):
        slow = {"generator_optimizer": SGD, "critic_optimizer": SGD}  # Adam makes steps of rounding
        model = translator(judge(**parts), judge(**parts), **slow).arrange(accumulate=accumulate)
        trained.append(fit(model, pairs()).state_dict())
    for name, value in trained[0].items():
        torch.testing.assert_close(trained[1][name], value, msg=name, atol=1e-5, rtol=1e-4)


def test_all_four_networks_are_trained_and_both_ways_are_shown():
    before = {name: value.clone() for name, value in translator().state_dict().items()}
    model = fit(translator(), pairs())
    for network in ("generator", "back", "critic", "back_critic"):
        changed = [
            name
            for name, value in model.state_dict().items()
            if name.startswith(f"{network}.") and not torch.equal(value, before[name])
        ]
        assert changed, network
    (batch, _) = pairs()
    grid = model.extra_grids(batch, IndexedNoise(0, torch.arange(4)))["cycle"]
    assert grid.samples.shape == (12, 1, 16, 16)
    torch.testing.assert_close(grid.samples[:4], batch["source"])
    again = (grid.samples[8:] - batch["source"]).abs().mean()
    torch.testing.assert_close(model.validate_batch(batch)["val/cycle"], again)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cycle_weight": -1.0}, "cycle_weight must be at least 0"),
        ({"critic": lambda: judge(untold=[])}, "critic.discriminator must read the conditions"),
        ({"back_critic": lambda: judge(untold=[])}, "back_critic.untold must name source"),
        ({"unrolled": Unrolled(2)}, "unrolled and consensus must be null"),
        ({"back_critic": lambda: judge(penalties={"lecam": LeCam()})}, "back_critic must have no lecam"),
        ({"critic": lambda: judge(augmentations={"ada": AdaptiveAugment()})}, "critic must have no ada"),
        ({"critic": lambda: judge(penalties={"r1": R1(interval=4)})}, "critic.penalties must have interval=1"),
        ({"conditions": {**SOURCE, "other": Picture((1, 16, 16))}}, "generator must read the conditions"),
    ],
    ids=["negative", "told", "back_told", "unrolled", "lecam", "ada", "lazy", "two_pictures"],
)
def test_what_does_not_go_with_two_ways_is_refused(given, message):
    given = {name: part() if callable(part) and name.endswith("critic") else part for name, part in given.items()}
    with pytest.raises(ValueError, match=message):
        translator(**given)
