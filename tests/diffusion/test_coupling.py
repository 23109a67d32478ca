"""Pairs of images and noises: the best of all, each used once, and of no knowledge of what is told."""

from functools import partial
from itertools import permutations

import pytest
import torch
from lightning import Trainer
from torch import nn
from torch.utils.data import DataLoader

from genexp.conditioning.base import UNCONDITIONAL
from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.coupling import Independent, OptimalTransport
from genexp.diffusion.prediction import Flow
from genexp.diffusion.weighting import UniformFlow
from genexp.families.diffusion import Diffusion


def example(count, *shape):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, *shape, generator=generator) * 2 - 1, torch.randn(count, *shape, generator=generator)


def rows(values):
    return sorted(values.flatten(1).tolist())


def test_the_assignment_is_the_best_of_all():
    image, noise = example(6, 1, 2, 2)
    distance = (image.flatten(1)[:, None] - noise.flatten(1)[None]).square().sum(2)
    best = min(permutations(range(6)), key=lambda order: float(distance[range(6), order].sum()))
    assert torch.equal(OptimalTransport()(image, noise, {}), noise[list(best)])
    assert Independent()(image, noise, {}) is noise


def test_every_noise_is_used_once_and_the_distance_falls():
    image, noise = example(300, 2)
    dealt = OptimalTransport()(image, noise, {})
    assert rows(dealt) == rows(noise)
    assert float((dealt - image).square().mean()) < 0.6 * float((noise - image).square().mean())


def test_noise_is_exchanged_only_where_the_same_is_told():
    image, noise = example(60, 2)
    label = torch.arange(60) % 3
    dealt = OptimalTransport()(image, noise, {"label": label})
    for each in range(3):
        assert rows(dealt[label == each]) == rows(noise[label == each])
        assert torch.equal(dealt[label == each], OptimalTransport()(image[label == each], noise[label == each], {}))
    told = {"label": label, "low_res": torch.rand(60, 1, 2, 2)}
    assert torch.equal(OptimalTransport()(image, noise, told), noise)


class Told(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(2, 2), []

    def forward(self, x_t, t, condition=UNCONDITIONAL):
        self.seen.append(x_t.detach())
        return self.layer(x_t)


@pytest.mark.parametrize("coupling", [Independent(), OptimalTransport()], ids=lambda part: type(part).__name__)
def test_micro_batches_see_the_pairs_of_the_whole_batch(coupling):
    seen = []
    for accumulate in (1, 5):
        torch.manual_seed(0)
        parts = (Told(), RectifiedFlow(), Flow(), UniformFlow(), partial(torch.optim.SGD, lr=0.0), (2,))
        model = Diffusion(*parts, coupling=coupling).arrange(accumulate=accumulate)
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(accelerator="cpu", max_epochs=1, enable_model_summary=False, **quiet)
        trainer.fit(model, DataLoader([{"image": example(20, 2)[0]}], batch_size=None))
        seen.append(torch.cat(model.network.seen))
        assert len(model.network.seen) == accumulate
    assert torch.equal(*seen)
