"""Adversarial families trained on a few batches without a command, and watched."""

import copy
import functools
import logging

import lightning
import torch

from genexp.families.gan import GAN

ADAM = functools.partial(torch.optim.Adam, lr=1e-2, betas=(0.5, 0.999))
SGD = functools.partial(torch.optim.SGD, lr=0.1)


def fit(model, batches, **options):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
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
