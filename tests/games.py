"""Adversarial families trained on a few batches without a command, and watched."""

import copy
import functools
import logging

import lightning
import torch

from genexp.adversarial.adaptive import AdaptiveAugment
from genexp.adversarial.augmentations import DiffAugment, InstanceNoise
from genexp.adversarial.auxiliary import AuxiliaryClassifier
from genexp.adversarial.critic import Critic
from genexp.adversarial.generator_penalties import PathLength
from genexp.adversarial.objectives import Hinge
from genexp.adversarial.penalties import DRAGAN, R1, GradientPenalty
from genexp.adversarial.score_penalties import Consistency, LeCam
from genexp.adversarial.weight_penalties import HistoricalAverage, Orthogonal
from genexp.families.bigan import BiGAN
from genexp.families.gan import GAN
from genexp.networks.autoencoder import ConvEncoder
from genexp.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genexp.networks.joint import JointDiscriminator

ADAM = functools.partial(torch.optim.Adam, lr=1e-2, betas=(0.5, 0.999))
SGD = functools.partial(torch.optim.SGD, lr=0.1)


def fit(model, batches, devices=1, **options):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=devices,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))
    return model


def digits_like(batches, size, labels=False):
    generator = torch.Generator().manual_seed(0)
    made = [{"image": torch.rand(size, 1, 8, 8, generator=generator) * 2 - 1} for _ in range(batches)]
    return [batch | {"label": torch.arange(size) % 3} for batch in made] if labels else made


class Watched(GAN):
    """Notes which entries of the state every update changes."""

    def update(self, name, batch, loss):
        before = copy.deepcopy(self.state_dict())
        terms = super().update(name, batch, loss)
        changed = {key for key, value in self.state_dict().items() if not torch.equal(value, before[key])}
        self.__dict__.setdefault("changes", []).append((name, changed))
        return terms


def penalties():
    return {
        "r1": R1(interval=2),
        "dragan": DRAGAN(0.1),
        "consistency": Consistency(DiffAugment(), 0.1, 0.1),
        "lecam": LeCam(decay=0.5),
        "orthogonal": Orthogonal(),
        "history": HistoricalAverage(),
    }


def augmentations():
    return {"diff": DiffAugment(), "ada": AdaptiveAugment(p=0.5, images=20), "noise": InstanceNoise()}


def regularisers():
    return {"path_length": PathLength(interval=2), "orthogonal": Orthogonal(), "history": HistoricalAverage()}


def every_part(num_classes=3):
    """A game with all parts whose value does not hang on how a batch is split."""
    torch.manual_seed(0)
    discriminator = DCGANDiscriminator(8, 1, width=4, norm="none")
    auxiliary = AuxiliaryClassifier(num_classes)
    critic = Critic(discriminator, Hinge(), penalties(), augmentations=augmentations(), auxiliary=auxiliary)
    generator = DCGANGenerator(8, 1, 4, width=4, norm="none", num_classes=num_classes)
    sgd = functools.partial(torch.optim.SGD, lr=0.01)
    return Watched(generator, critic, sgd, sgd, num_classes=num_classes, generator_penalties=regularisers())


SHAPE, SIZE = (1, 8, 8), 3


class WatchedBiGAN(Watched, BiGAN):
    """Notes which entries of the state every update changes."""


def joint(terms=("image", "latent", "joint"), norm="none", num_classes=None, **options):
    image = DCGANDiscriminator(8, 1, width=4, norm=norm, num_classes=num_classes, conditioning="concat", **options)
    return JointDiscriminator(SHAPE, SIZE, image, width=8, depth=1, norm="none", terms=terms)


def bigan(critic=None, family=BiGAN, num_classes=None, norm="none", **settings):
    torch.manual_seed(0)
    critic = critic or Critic(joint(norm=norm, num_classes=num_classes), Hinge())
    generator = DCGANGenerator(8, 1, SIZE, width=4, norm=norm, num_classes=num_classes)
    encoder = ConvEncoder(1, 8, SIZE, width=8, num_classes=num_classes)
    optimizers = {"generator_optimizer": SGD, "critic_optimizer": SGD}
    return family(generator, critic, encoder, **(optimizers | {"num_classes": num_classes} | settings))


def every_part_of_pairs(num_classes=3, **settings):
    torch.manual_seed(0)
    of_critic = penalties() | {"gradient_penalty": GradientPenalty()}
    critic = Critic(joint(num_classes=num_classes), Hinge(), of_critic, augmentations=augmentations())
    sgd = functools.partial(torch.optim.SGD, lr=0.01)
    optimizers = {"generator_optimizer": sgd, "critic_optimizer": sgd}
    return bigan(critic, num_classes=num_classes, generator_penalties=regularisers(), **optimizers, **settings)
