"""Pairings against the papers' formulas, under every objective: symmetries, limits, slopes, and who computes what."""

import multiprocessing

import pytest
import torch
from torch import distributed
from torch.nn.functional import logsigmoid

from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from genexp.adversarial.pairings import Plain, RelativisticAverage, RelativisticPaired
from genexp.conditioning.base import UNCONDITIONAL
from genexp.networks.mlp import MLPDiscriminator

OBJECTIVES = [NonSaturating, Minimax, Hinge, Wasserstein, LeastSquares]
RELATIVISTIC = [RelativisticPaired(), RelativisticAverage()]
every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: each.__name__)
every_relativistic = pytest.mark.parametrize("pairing", RELATIVISTIC, ids=lambda each: type(each).__name__)


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 64, generator=generator).double() * 3


def test_the_relativistic_logistic_loss_asks_whether_real_is_more_real_than_fake(scores):
    real, fake = scores
    paired, average = (NonSaturating(pairing=pairing) for pairing in RELATIVISTIC)
    torch.testing.assert_close(paired.critic(real, fake), -logsigmoid(real - fake))
    torch.testing.assert_close(paired.generator(real, fake), -logsigmoid(fake - real))
    # Ra: -E log D~(x) - E log(1 - D~(G(z))), D~(a) = sigmoid(a - E b)
    ahead, behind = torch.sigmoid(real - fake.mean()), torch.sigmoid(fake - real.mean())
    torch.testing.assert_close(average.critic(real, fake), -ahead.log() - (1 - behind).log())
    torch.testing.assert_close(average.generator(real, fake), -behind.log() - (1 - ahead).log())


def test_average_least_squares_and_hinge_have_the_targets_of_the_paper(scores):
    real, fake = scores
    ahead, behind = real - fake.mean(), fake - real.mean()
    squares, hinge = (objective(pairing=RelativisticAverage()) for objective in (LeastSquares, Hinge))
    torch.testing.assert_close(squares.critic(real, fake), ((ahead - 1) ** 2 + (behind + 1) ** 2) / 2)
    torch.testing.assert_close(squares.generator(real, fake), ((behind - 1) ** 2 + (ahead + 1) ** 2) / 2)
    torch.testing.assert_close(hinge.critic(real, fake), (1 - ahead).relu() + (1 + behind).relu())
    torch.testing.assert_close(hinge.generator(real, fake), (1 - behind).relu() + (1 + ahead).relu())


@every_objective
@every_relativistic
def test_only_differences_of_scores_count(objective, pairing, scores):
    real, fake = scores
    made = objective(pairing=pairing)
    torch.testing.assert_close(made.critic(real + 7, fake + 7), made.critic(real, fake))
    torch.testing.assert_close(made.generator(real + 7, fake + 7), made.generator(real, fake))


@every_objective
@every_relativistic
def test_both_players_play_the_same_game_from_opposite_sides(objective, pairing, scores):
    """The generator pays what the critic would with real and fake exchanged; in a zero-sum game, what it gains."""
    real, fake = scores
    made = objective(pairing=pairing)
    expected = -made.critic(real, fake) if objective is Minimax else made.critic(fake, real)
    torch.testing.assert_close(made.generator(real, fake), expected)


@every_objective
def test_with_one_image_a_side_the_average_is_the_pair_counted_twice(objective, scores):
    paired, average = (objective(pairing=pairing) for pairing in RELATIVISTIC)
    for real, fake in scores[:, :5].T.unsqueeze(2):
        torch.testing.assert_close(average.critic(real, fake), 2 * paired.critic(real, fake))
        torch.testing.assert_close(average.generator(real, fake), 2 * paired.generator(real, fake))


def test_a_wasserstein_critic_is_relativistic_already(scores):
    plain, paired = Wasserstein(), Wasserstein(pairing=RelativisticPaired())
    torch.testing.assert_close(paired.critic(*scores), plain.critic(*scores))


def test_the_average_does_not_ask_which_fake_stands_beside_which_image(scores):
    real, fake = scores
    order = torch.randperm(len(fake), generator=torch.Generator().manual_seed(1))
    average, paired = (NonSaturating(pairing=pairing) for pairing in (RelativisticAverage(), RelativisticPaired()))
    torch.testing.assert_close(average.critic(real, fake[order]).mean(), average.critic(real, fake).mean())
    assert not torch.allclose(paired.critic(real, fake[order]).mean(), paired.critic(real, fake).mean())


@every_objective
@pytest.mark.parametrize("pairing", [Plain(), *RELATIVISTIC], ids=lambda each: type(each).__name__)
def test_slopes_equal_finite_differences(objective, pairing, scores):
    made = objective(pairing=pairing)
    points = [side[:6].clone().requires_grad_() for side in scores]
    assert torch.autograd.gradcheck(made.critic, points)
    assert torch.autograd.gradcheck(made.generator, points)


class Counted(MLPDiscriminator):
    seen = 0

    def forward(self, image, condition=UNCONDITIONAL):
        self.seen += len(image)
        return super().forward(image, condition)


def test_the_generator_step_looks_at_real_images_only_where_it_must_and_learns_through_fakes_alone():
    torch.manual_seed(0)
    discriminator = Counted((2,), width=8)
    real, fake = torch.randn(4, 2, requires_grad=True), torch.randn(4, 2, requires_grad=True)
    Critic(discriminator, Hinge()).generator_loss(real, fake)
    assert discriminator.seen == 4
    critic = Critic(discriminator, Hinge(pairing=RelativisticPaired()))
    loss = critic.generator_loss(real, fake)
    assert discriminator.seen == 12
    torch.testing.assert_close(loss, Hinge(pairing=RelativisticPaired()).generator(critic(real), critic(fake)))
    loss.sum().backward()
    assert real.grad is None
    assert fake.grad.abs().sum() > 0


def test_an_objective_that_says_nothing_of_its_scope_is_refused():
    class Older:
        def critic(self, real, fake):
            return fake - real

        def generator(self, fake):
            return -fake

    with pytest.raises(TypeError, match=r"objective must have scope, critic\(real, fake\) and generator\(real, fake\)"):
        Critic(MLPDiscriminator((2,), width=8), Older())


def _slope_on(rank, store, scores, weights, results):
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    results.put((rank, _slope(scores[:, 3 * rank : 3 * rank + 3], weights)))
    distributed.destroy_process_group()


def _slope(scores, weights):
    """The slope of the critic's mean loss in one shared parameter a side."""
    parameters = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    real, fake = scores * parameters[:, None]
    NonSaturating(pairing=RelativisticAverage()).critic(real, fake).mean().backward()
    return parameters.grad.tolist()


def test_the_average_is_over_all_processes_and_so_is_its_slope(tmp_path, scores):
    scores, weights = scores[:, :6], [0.7, 1.3]
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    ranks = [context.Process(target=_slope_on, args=(r, tmp_path / "store", scores, weights, results)) for r in (0, 1)]
    for rank in ranks:
        rank.start()
    found = [results.get(timeout=60)[1] for _ in ranks]
    for rank in ranks:
        rank.join()
    mean = [sum(each) / 2 for each in zip(*found, strict=True)]  # what DDP does with gradients
    assert mean == pytest.approx(_slope(scores, weights), rel=1e-12)
