"""Objectives against their closed forms, their optima, and each other."""

import math

import pytest
import torch

from genexp.adversarial.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein

OBJECTIVES = [NonSaturating(), NonSaturating(label_smoothing=0.1), Minimax(), Hinge(), Wasserstein(), LeastSquares()]


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 64, generator=generator).double() * 3


def test_non_saturating_is_binary_cross_entropy_of_logits(scores):
    real, fake = scores
    entropy = torch.nn.BCEWithLogitsLoss(reduction="none")
    expected = entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))
    torch.testing.assert_close(NonSaturating().critic(real, fake), expected)
    torch.testing.assert_close(NonSaturating().generator(None, fake), entropy(fake, torch.ones_like(fake)))


def test_minimax_is_the_game_in_which_the_generator_gains_what_the_critic_loses(scores):
    real, fake = scores
    probability = torch.sigmoid(fake)
    torch.testing.assert_close(Minimax().critic(real, fake), NonSaturating().critic(real, fake))
    torch.testing.assert_close(Minimax().generator(None, fake), (1 - probability).log())
    certain = torch.tensor([-20.0], requires_grad=True)  # the critic is sure: one slope vanishes, the other is 1
    slopes = [
        torch.autograd.grad(objective.generator(None, certain).sum(), certain)[0]
        for objective in (Minimax(), NonSaturating())
    ]
    assert [round(float(slope), 6) for slope in slopes] == [0.0, -1.0]


def test_label_smoothing_lowers_the_target_of_real_images_only(scores):
    real, fake = scores
    smooth, plain = NonSaturating(label_smoothing=0.1), NonSaturating()
    entropy = torch.nn.BCEWithLogitsLoss(reduction="none")
    expected = entropy(real, torch.full_like(real, 0.9)) + entropy(fake, torch.zeros_like(fake))
    torch.testing.assert_close(smooth.critic(real, fake), expected)
    torch.testing.assert_close(smooth.generator(None, fake), plain.generator(None, fake))
    real = torch.full((1,), math.log(9), requires_grad=True)  # the logit of 0.9 is where the smoothed loss is least
    smooth.critic(real, torch.zeros(1)).sum().backward()
    assert abs(float(real.grad)) < 1e-6


def test_non_saturating_stays_finite_at_extreme_logits():
    extreme = torch.tensor([-1e4, 1e4])
    for values in (NonSaturating().critic(extreme, extreme.flip(0)), NonSaturating().generator(None, extreme)):
        assert torch.isfinite(values).all()


def test_hinge_costs_nothing_beyond_both_margins():
    real, fake = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, -1.0, -2.0])
    torch.testing.assert_close(Hinge().critic(real, fake), torch.tensor([2.0, 0.0, 0.0]))
    torch.testing.assert_close(Hinge().generator(None, fake), -fake)


def test_wasserstein_is_a_zero_sum_game_in_the_fake_score(scores):
    real, fake = scores
    torch.testing.assert_close(Wasserstein().critic(real, fake), fake - real)
    torch.testing.assert_close(Wasserstein().generator(None, fake), -fake)


def test_least_squares_has_the_factor_one_half():
    real, fake = torch.tensor([3.0]), torch.tensor([2.0])
    assert float(LeastSquares().critic(real, fake)) == (4 + 4) / 2
    assert float(LeastSquares().generator(None, fake)) == 1 / 2


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_losses_are_per_sample_and_the_players_pull_the_fake_score_apart(objective):
    real, fake = torch.zeros(5), torch.full((5,), 0.5, requires_grad=True)
    critic, generator = objective.critic(real, fake), objective.generator(None, fake)
    assert critic.shape == generator.shape == (5,)
    (down,) = torch.autograd.grad(critic.sum(), fake, retain_graph=True)
    (up,) = torch.autograd.grad(generator.sum(), fake)
    assert (down > 0).all()
    assert (up < 0).all()


def test_label_smoothing_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"label_smoothing must lie in \[0, 0.5\), got 0.5"):
        NonSaturating(label_smoothing=0.5)
