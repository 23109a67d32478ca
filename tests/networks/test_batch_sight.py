"""What a discriminator sees of the other samples of its batch."""

import pytest
import torch

from genexp.adversarial.frozen_buffers import coupling
from genexp.config.compose import compose
from genexp.config.problems import InvalidConfig
from genexp.config.validation import require_valid
from genexp.networks.batch_sight import Closeness, MinibatchDiscrimination, MinibatchStd
from genexp.networks.dcgan import DCGANDiscriminator
from genexp.networks.mlp import MLPDiscriminator

PARTS = [MinibatchStd(2), MinibatchDiscrimination(2, kernels=3, size=2)]


def test_the_standard_deviation_of_a_group_is_one_more_channel_in_every_place():
    layer = MinibatchStd(2).layer((2, 1, 2))
    features = torch.zeros(4, 2, 1, 2, dtype=torch.float64)
    features[1, 0], features[2:] = torch.tensor([[2.0, 6.0]]), 7.0  # deviations 1, 3, 0, 0 and none at all
    seen = layer(features)
    assert torch.equal(seen[:, :2], features)
    assert seen[:, 2].shape == (4, 1, 2)
    torch.testing.assert_close(seen[:2, 2], torch.ones(2, 1, 2).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[2:, 2], torch.zeros(2, 1, 2).double(), atol=1.1e-4, rtol=0)


def test_closeness_is_that_of_a_plain_loop_over_pairs():
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(3, kernels=2, size=4).layer((2, 2, 1)).double()
    features = torch.randn(6, 2, 2, 1, dtype=torch.float64)
    seen = layer(features)[:, 2:, 0, 0]
    for i in range(6):
        for k in range(2):
            projected = features.flatten(1) @ layer.projection[:, k]
            others = [j for j in range(i // 3 * 3, i // 3 * 3 + 3) if j != i]
            near = sum(torch.exp(-(projected[i] - projected[j]).abs().sum()) for j in others)
            torch.testing.assert_close(seen[i, k], near, atol=1e-6, rtol=1e-6)


def test_kernels_start_where_closeness_has_a_value_and_a_slope():
    torch.manual_seed(0)
    told = Closeness(256, group_size=16, kernels=32, size=4)(torch.randn(16, 256))[:, 256:]
    assert 0.1 < float(told.detach().mean()) / 15 < 0.6


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("build", "shape"),
    [(lambda part: MLPDiscriminator((2,), width=8, diversity=part), (2,)),
     (lambda part: DCGANDiscriminator(8, 1, width=4, norm="none", num_classes=2, diversity=part), (1, 8, 8))],
)  # fmt: skip
def test_a_score_moves_with_its_group_alone_whatever_the_batch(build, shape, part):
    torch.manual_seed(0)
    discriminator, samples = build(part), torch.randn(6, *shape, requires_grad=True)
    told = {"label": torch.tensor([0, 1, 0, 1, 1, 0])} if discriminator.num_classes else {}
    scores = discriminator(samples, told)
    for i, score in enumerate(scores):
        (slope,) = torch.autograd.grad(score, samples, retain_graph=True)
        assert (slope.flatten(1).abs().sum(1) > 0).tolist() == [j // 2 == i // 2 for j in range(6)]
    parts = [discriminator(samples[rows], {n: v[rows] for n, v in told.items()}) for rows in (slice(4), slice(4, 6))]
    torch.testing.assert_close(torch.cat(parts), scores)  # micro-batches of whole groups change nothing
    assert coupling(discriminator) == "groups"
    judged = discriminator.judged(samples, told)
    assert judged.features.shape == (6, discriminator.feature_count)


def test_broken_groups_are_refused_in_training_and_filled_up_in_evaluation():
    layer = MinibatchStd(4).layer((1,))
    with pytest.raises(ValueError, match="group_size must divide the 6 samples of a micro-batch, got 4"):
        layer(torch.randn(6, 1))
    points = torch.randn(6, 1)
    filled = layer(torch.cat([points, points[:2]]))
    assert torch.equal(layer.eval()(points), filled[:6])
    with pytest.raises(ValueError, match="group_size must be at least 2 samples, got 1"):
        MinibatchStd(1)
    with pytest.raises(ValueError, match="kernels must be at least 1, got 0"):
        MinibatchDiscrimination(kernels=0)


def test_groups_that_do_not_divide_a_micro_batch_are_refused_before_training():
    group = "model.critic.discriminator.diversity.group_size"
    chosen = ["model=gan", "model/critic/penalties=none", "model/critic/discriminator/diversity=minibatch_std"]
    chosen += ["trainer=cpu", "logger=none", "data.batch_size=60"]
    require_valid(compose("train", chosen), "train")
    with pytest.raises(
        InvalidConfig, match=rf"{group}: must divide micro-batches of 10 images \(data.batch_size=60.*4"
    ):
        require_valid(compose("train", [*chosen, "training.accumulate=6"]), "train")
