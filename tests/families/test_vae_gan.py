"""A bound with the critic of a GAN: who learns of what, and steps that splitting a batch leaves alone."""

from functools import partial

import pytest
import torch

from games import digits_like, fit
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import NonSaturating
from genexp.adversarial.pairings import RelativisticAverage
from genexp.adversarial.penalties import R1
from genexp.families.first_stage import Judged
from genexp.families.vae import VAE
from genexp.families.vae_gan import Adversarial
from genexp.losses.reconstruction import Gaussian
from genexp.networks.autoencoder import MLPDecoder, MLPEncoder
from genexp.networks.dcgan import DCGANDiscriminator

SGD = partial(torch.optim.SGD, lr=1e-3)


def model(pairing=None, penalty=None, classes=None, judged=None, untold=(), kind=Adversarial, **settings):
    torch.manual_seed(0)
    sizes = {"shape": (1, 8, 8), "latent_size": 3, "width": 16, "num_classes": classes}
    discriminator = DCGANDiscriminator(8, 1, width=4, norm="none", num_classes=judged or classes)
    objective = NonSaturating(pairing=pairing) if pairing else NonSaturating()
    bound = kind(Critic(discriminator, objective, penalty, untold=untold), SGD, **settings)
    return VAE(MLPEncoder(**sizes), MLPDecoder(**sizes), Gaussian(0.5), 3, SGD, bound=bound, num_classes=classes)


@pytest.mark.parametrize("classes", [None, 10])
def test_accumulation_changes_nothing(classes):
    models = [model(penalty={"r1": R1()}, classes=classes).arrange(parts) for parts in (1, 4)]
    for each in models:
        fit(each, digits_like(3, 8, labels=True))
    start = dict(model(classes=classes).named_parameters())
    for (name, whole), (_, cut) in zip(models[0].named_parameters(), models[1].named_parameters(), strict=True):
        torch.testing.assert_close(whole, cut, atol=1e-6, rtol=1e-5)
        if "label" not in name and name != "bound.critic.discriminator.output.bias":
            assert not whole.equal(start[name]), name
    assert models[0].steps == {"autoencoder": 3, "opponent": 3}


def test_the_encoder_learns_of_features_but_not_of_what_is_decoded_from_the_prior():
    each = model(weight=3.0, features=0.0, pixels=0.0)
    batch = each._drawn({"image": torch.rand(4, 1, 8, 8) * 2 - 1})
    terms = each._loss(batch, 0.0)
    torch.testing.assert_close(terms["loss"], 3.0 * terms["generator"])
    terms["loss"].backward()
    assert each.encoder.head.weight.grad is None or not each.encoder.head.weight.grad.any()
    assert each.decoder.head.weight.grad.abs().sum() > 0
    compared = model(weight=0.0, features=2.0, pixels=0.5)
    terms = compared._loss(batch, 0.5)
    expected = 0.5 * terms["reconstruction"] + 2.0 * terms["features"] + 0.5 * terms["kl"]
    torch.testing.assert_close(terms["loss"], expected)
    terms["loss"].backward()
    assert compared.encoder.head.weight.grad.abs().sum() > 0


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"weight must not be negative, got -1\.0"):
        model(weight=-1.0)
    with pytest.raises(ValueError, match="critic must have penalties of interval 1 in a bound, got 16"):
        model(penalty={"r1": R1(interval=16)})
    for kind in (Adversarial, Judged):
        with pytest.raises(
            ValueError, match=r"bound\.critic\.discriminator must read the conditions of the model, none"
        ):
            model(kind=kind, judged=10)
        told = r"bound\.critic\.discriminator must not read label, which bound\.critic\.untold names"
        with pytest.raises(ValueError, match=told):
            model(kind=kind, classes=10, untold=["label"])
        with pytest.raises(ValueError, match=r"bound\.critic\.untold must name .*, got colour"):
            model(kind=kind, untold=["colour"])
    with pytest.raises(ValueError, match=r"accumulate must be 1 with model\.bound\.critic\.objective\.pairing"):
        model(RelativisticAverage()).arrange(2)
