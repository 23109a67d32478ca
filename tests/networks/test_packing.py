"""Packs: which samples share a score, and what a discriminator can see in them that it cannot see in one sample."""

import pytest
import torch

from genexp.networks.dcgan import DCGANDiscriminator
from genexp.networks.mlp import MLPDiscriminator
from genexp.networks.packing import packed, unpacked


def test_runs_beside_are_joined_and_the_last_pack_is_filled_up_with_the_first_samples():
    points = torch.arange(10.0).reshape(5, 2)
    joined = packed(points, 3)
    assert joined.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 0, 1]]
    assert unpacked(torch.tensor([1.0, 2.0]), 3, 5).tolist() == [1, 1, 1, 2, 2]
    images = torch.randn(4, 3, 8, 8)
    assert torch.equal(
        packed(images, 2), torch.stack([torch.cat([images[0], images[1]]), torch.cat([images[2], images[3]])])
    )
    assert packed(images, 1) is images


@pytest.mark.parametrize("pack", [1, 2, 3])
@pytest.mark.parametrize(
    ("build", "shape"),
    [(lambda pack: MLPDiscriminator((2,), width=8, pack=pack), (2,)),
     (lambda pack: DCGANDiscriminator(8, 1, width=4, pack=pack), (1, 8, 8))],
)  # fmt: skip
def test_a_score_moves_with_all_samples_of_its_pack_and_no_others(build, shape, pack):
    torch.manual_seed(0)
    discriminator, samples = build(pack).eval(), torch.randn(6, *shape, requires_grad=True)
    scores = discriminator(samples)
    assert scores.shape == (6,)
    for i, score in enumerate(scores):
        (slope,) = torch.autograd.grad(score, samples, retain_graph=True)
        moved = slope.flatten(1).abs().sum(1) > 0
        assert moved.tolist() == [j // pack == i // pack for j in range(6)]


def test_packs_see_whether_samples_are_all_alike():
    """Two unlike points a pack, or one point twice: alone they look the same, together they are told apart."""
    torch.manual_seed(0)
    sign = (torch.rand(512) < 0.5).float() * 2 - 1
    lively = torch.stack([sign, -sign], 1).reshape(-1, 1)  # every pack holds both points
    collapsed = sign.repeat_interleave(2)[:, None]  # every pack holds one of them twice
    gaps = []
    for pack in (1, 2):
        discriminator = MLPDiscriminator((1,), width=16, depth=2, pack=pack)
        optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
        for _ in range(100):
            gap = torch.tanh(discriminator(lively)).mean() - torch.tanh(discriminator(collapsed)).mean()
            optimizer.zero_grad()
            (-gap).backward()
            optimizer.step()
        gaps.append(float(gap))
    assert abs(gaps[0]) < 0.2
    assert gaps[1] > 1.5


@pytest.mark.parametrize("build", [lambda **k: MLPDiscriminator((2,), **k), lambda **k: DCGANDiscriminator(8, 1, **k)])
def test_packs_that_cannot_be_are_refused(build):
    with pytest.raises(ValueError, match="pack must be at least 1 sample, got 0"):
        build(pack=0)
    with pytest.raises(ValueError, match="pack must be 1 for a network with classes, got 2"):
        build(pack=2, num_classes=3)
