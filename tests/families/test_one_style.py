"""StyleNetwork with a stylizer of one style: the loss of an optimised picture, and a style that stays the same."""

from functools import partial

import pytest
import torch
from lightning import Trainer
from torch.utils.data import DataLoader

from genexp.contracts.blending import Blender
from genexp.families.stylisation import StyleNetwork
from genexp.losses.style import GramLoss
from genexp.networks.johnson import JohnsonStylizer
from genexp.networks.vgg import VGG

LAYERS = ["relu1_1", "relu2_1"]


@pytest.fixture(scope="module")
def features():
    return VGG("random", last="relu2_1", pooling="average", padding="reflect")


def network(features, **options):
    torch.manual_seed(0)
    stylizer = JohnsonStylizer(width=4, blocks=1)
    adam = partial(torch.optim.Adam, lr=1e-2)
    return StyleNetwork(features, stylizer, GramLoss(), adam, "relu2_1", LAYERS, **options)


def pairs(count=4, style=1):
    def smooth(seed, many):
        coarse = torch.rand(many, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        return torch.nn.functional.interpolate(coarse, (20, 20), mode="bilinear")

    return {"content": smooth(0, count), "style": smooth(style, 1).expand(count, -1, -1, -1)}


def fit(model, batches):
    options = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(accelerator="cpu", max_epochs=1, logger=False, **options)
    trainer.fit(model, DataLoader(batches, batch_size=None))
    return trainer


@torch.no_grad()
def loss_of(model, batch):
    return float(model.validate_batch(batch)["val/loss"])


@torch.no_grad()
def test_its_loss_is_that_of_an_optimised_picture(features):
    model, batch = network(features, style_weight=5.0, tv_weight=0.3), pairs()
    images = model.stylizer(batch["content"])
    objective = model.objective
    wanted = objective(images, objective.content_of(batch["content"]), objective.style_of(batch["style"]))
    found = model.validate_batch(batch)
    for name in ("content", "style", "tv", "loss"):
        torch.testing.assert_close(found[f"val/{name}"], wanted[name].mean())


def test_it_learns_and_the_encoder_stays_out_of_it(features, tmp_path):
    model, batch, digest = network(features), pairs(), features.digest
    before = loss_of(model, batch)
    trainer = fit(model, [batch] * 25)
    assert loss_of(model, batch) < 0.6 * before
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    stored = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert all(name.startswith("stylizer.") for name in stored["state_dict"])
    assert (stored["encoder"], features.digest) == (digest, digest)
    model.train()
    assert not model.objective.features.training
    assert {id(p) for p in model.parameters()} == {id(p) for p in model.stylizer.parameters()}


def test_another_style_is_refused_within_a_batch_and_between_batches(features):
    mixed = pairs()
    mixed["style"] = torch.cat([mixed["style"][:2], pairs(style=2)["style"][:2]])
    for batches in ([mixed], [pairs(), pairs(style=2)]):
        with pytest.raises(ValueError, match=r"style must be one picture, the same in all batches, .* data=one_style"):
            fit(network(features), batches)


def test_it_has_no_strength_and_is_given_no_style(features):
    model, content = network(features), pairs()["content"]
    assert isinstance(model, Blender)
    assert torch.equal(model.painted(content, (), ()), model.render(pairs()))
    assert set(model.extra_grids(pairs(), None)) == {"transfer"}
    for refused in (lambda: network(features, alpha=0.5), lambda: model.stylize(content, content, 0.5)):
        with pytest.raises(ValueError, match=r"alpha must be 1 for a stylizer of one style, got 0\.5"):
            refused()
