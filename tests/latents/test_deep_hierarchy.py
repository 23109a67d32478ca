"""A hierarchy of as many groups as the papers have: it composes, and its steps are stable."""

from functools import partial

import pytest
import torch
from sklearn.datasets import load_digits

from games import fit
from genexp.config.check import problems_of
from genexp.families.hierarchy import HierarchicalVAE
from genexp.losses.reconstruction import Gaussian
from genexp.networks.ladder import Ladder
from genexp.tensors import IndexedNoise


@pytest.mark.slow
def test_forty_groups_compose_and_steps_of_their_recipe_are_stable():
    """Child (2021): residual branches of 1 / sqrt(their number), and clipped gradients, bear any depth."""
    sizes = {"groups": [4, 16, 20], "latents": 1, "width": 8}
    assert not problems_of("train", ["experiment=vd_vae/digits", *(f"model.ladder.{k}={v}" for k, v in sizes.items())])
    torch.manual_seed(0)
    parts = {"relative": False, "soft_clamp": None, "clip": 200.0}
    family = HierarchicalVAE(Ladder(1, 8, **sizes), Gaussian(0.5), partial(torch.optim.Adam, lr=2e-3), **parts)
    images = torch.tensor(load_digits().images[:512], dtype=torch.float32)[:, None] / 8 - 1
    batch = family.observe({"image": images[:64]}, IndexedNoise(0, range(64)))
    before = family.log_prob(batch).mean().item()
    fit(family, [{"image": each} for each in images.split(16)])
    bounds, lengths = family.log_prob(batch), family.code_lengths(batch)[1]
    assert lengths.shape == (64, 40)
    assert lengths.isfinite().all()
    assert (lengths >= 0).all()
    assert bounds.isfinite().all()
    assert bounds.mean().item() > before + 5  # nats, of which the first mean image gives most
