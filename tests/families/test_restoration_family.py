"""Restoration: its loss in closed form, what it draws, accumulation, and that it learns to undo what was done."""

import functools
import logging

import lightning
import pytest
import torch

from genexp.conditioning.degradations import Bicubic, Noisy
from genexp.conditioning.degraded import Degraded
from genexp.conditioning.kinds import Values
from genexp.conditioning.pictures import Picture
from genexp.families.restoration import Restoration
from genexp.losses.picture_losses import Absolute, Charbonnier, Squared
from genexp.networks.image_to_image import ImageToImageGenerator
from genexp.networks.restoration import Espcn, ResidualCnn

NOISY = {"source": Degraded((1, 16, 16), Noisy(25))}
SMALL = {"source": Degraded((1, 16, 16), Bicubic(2))}
ADAM = functools.partial(torch.optim.Adam, lr=1e-3)
L1 = {"pixel": Absolute()}


def images(batches, size=8, side=16):
    generator = torch.Generator().manual_seed(0)
    waves = torch.rand(batches, size, 2, 1, 1, generator=generator) * 3
    line = torch.linspace(0, 3, side)
    drawn = torch.sin(waves[:, :, :1] * line[:, None] + waves[:, :, 1:] * line)
    return [{"image": each, "index": torch.arange(size)} for each in drawn]


def restorer(generator, conditions, losses=None, accumulate=1):
    return Restoration(generator, conditions, losses or L1, ADAM).arrange(accumulate)


def fit(model, batches):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **silent)
    trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))
    return model


def test_losses_are_their_formulas_and_charbonnier_lies_between():
    image, real = torch.tensor([[[[0.5, -0.5]]]]), torch.tensor([[[[0.1, -0.2]]]])
    assert float(Absolute()(image, real)) == pytest.approx(0.35)
    assert float(Squared()(image, real)) == pytest.approx((0.16 + 0.09) / 2)
    assert float(Charbonnier(eps=1e-6)(image, real)) == pytest.approx(0.35, abs=1e-5)
    assert float(Charbonnier(eps=100.0)(image, real)) == pytest.approx((0.16 + 0.09) / 4 / 100, rel=1e-2)
    assert float(Charbonnier()(real, real)) == 0


def test_the_loss_is_the_weighted_sum_of_its_terms():
    torch.manual_seed(0)
    losses = {"l1": Absolute(0.5), "l2": Squared(2.0), "none": Squared(0.0)}
    model = restorer(Espcn(16, 1, SMALL), SMALL, losses)
    batch = images(1)[0]
    terms = model.validate_batch(batch)
    made = model.generator.restored(SMALL["source"].made(batch["image"]))
    difference = made - batch["image"]
    assert set(terms) == {"val/loss", "val/l1", "val/l2"}
    torch.testing.assert_close(terms["val/l1"], difference.abs().mean())
    torch.testing.assert_close(terms["val/loss"], 0.5 * difference.abs().mean() + 2 * difference.square().mean())


@pytest.mark.parametrize("conditions", [NOISY, SMALL], ids=["noisy", "smaller"])
def test_a_batch_in_parts_gives_the_same_step(conditions):
    def trained(accumulate):
        torch.manual_seed(0)
        network = Espcn(16, 1, conditions) if conditions is SMALL else ResidualCnn(16, 1, NOISY, 3, 4, batch_norm=False)
        return fit(restorer(network, conditions, accumulate=accumulate), images(2))

    whole, parts = trained(1), trained(4)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-3)


def test_training_draws_noise_anew_and_what_is_held_out_has_its_own():
    torch.manual_seed(0)
    model = restorer(ResidualCnn(16, 1, NOISY, 3, 4, batch_norm=False), NOISY)
    batch = images(1)[0]
    assert model.validate_batch(batch)["val/loss"] == model.validate_batch(batch)["val/loss"]
    seen = []
    model.generator.register_forward_hook(lambda module, given, made: seen.append(given[1]["source"]))
    fit(model, [batch, batch])
    assert not torch.equal(seen[0], seen[1])


def test_it_learns_to_take_noise_away():
    torch.manual_seed(0)
    model = fit(restorer(ResidualCnn(16, 1, NOISY, 4, 16), NOISY, {"pixel": Squared()}), images(60)).eval()
    batch = images(1)[0]
    noisy = NOISY["source"].made(batch["image"])
    made = model.decode(torch.zeros(8, 1), {"source": noisy})
    assert (made - batch["image"]).square().mean() < 0.4 * (noisy - batch["image"]).square().mean()


def test_pairs_and_a_generator_with_a_latent_go_with_it():
    given = {"source": Picture((1, 16, 16))}
    model = restorer(ImageToImageGenerator(16, 1, given, width=4, widest=8), given)
    batch = {**images(1)[0], "source": images(1)[0]["image"].flip(-1)}
    assert model.latent_shape == model.generator.latent_shape
    fit(model, [batch])
    assert model.steps == {"generator": 1}


def test_what_does_not_go_together_is_refused():
    network = Espcn(16, 1, SMALL)
    for make, told in (
        (
            lambda: restorer(network, {"x": Values([2])}),
            "conditions must hold a picture that images are made",
        ),
        (lambda: restorer(network, {"other": SMALL["source"]}), "generator must read the conditions of the model"),
        (lambda: restorer(network, SMALL, {"l1": Absolute(0.0)}), "losses must hold at least one with a weight"),
        (lambda: restorer(network, SMALL, {"loss": Absolute()}), "losses must have names other than loss"),
        (lambda: Absolute(-1.0), "weight must be at least 0, got -1"),
        (lambda: Charbonnier(eps=0.0), "eps must be above 0, got 0"),
    ):
        with pytest.raises(ValueError, match=told):
            make()
