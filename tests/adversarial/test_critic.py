"""The critic as a whole: its terms, its refusals, and the dynamics that its regularisers promise."""

import pytest
import torch
from torch import nn

from genexp.adversarial.constraints import WeightClip
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import Hinge, NonSaturating, Wasserstein
from genexp.adversarial.penalties import R1, R2, GradientPenalty
from genexp.conditioning.base import UNCONDITIONAL
from genexp.networks.batch_sight import MinibatchStd
from genexp.networks.dcgan import DCGANDiscriminator
from genexp.networks.mlp import MLPDiscriminator


class Weight(nn.Module):
    """D(x) = psi x, the discriminator of a Dirac distribution at 0."""

    def __init__(self, psi=0.0):
        super().__init__()
        self.psi = nn.Parameter(torch.tensor(psi, dtype=torch.float64))

    def forward(self, image, condition=UNCONDITIONAL):
        return self.psi * image.squeeze(1)


def test_the_loss_is_objective_plus_named_penalties():
    discriminator = Weight(3.0)
    critic = Critic(discriminator, Hinge(), {"r1": R1(0.5), "r2": R2(2.0)})
    real, fake = torch.tensor([[0.1], [2.0]]), torch.tensor([[0.2], [-1.0]])
    terms = critic.loss(real, fake)
    assert set(terms) == {"loss", "real", "fake", "balance", "penalty/r1", "penalty/r2"}
    assert all(values.shape == (2,) for values in terms.values())
    torch.testing.assert_close(terms["real"], 3 * real.squeeze(1))
    torch.testing.assert_close(terms["penalty/r1"], torch.full((2,), 0.5 / 2 * 9))
    expected = Hinge().critic(terms["real"], terms["fake"]) + terms["penalty/r1"] + terms["penalty/r2"]
    torch.testing.assert_close(terms["loss"], expected)


@pytest.mark.parametrize("group", ["penalties", "constraints"])
def test_settings_of_a_part_that_is_not_chosen_are_refused_by_name(group):
    with pytest.raises(TypeError, match=rf"{group}\.r1 must be a part .* got \{{'weight': 0.1\}}"):
        Critic(Weight(), Hinge(), **{group: {"r1": {"weight": 0.1}}})


def test_balance_counts_ordered_pairs_and_halves_ties():
    critic = Critic(Weight(1.0), Hinge())
    terms = critic.loss(torch.tensor([[1.0], [0.0], [2.0]]), torch.tensor([[0.0], [1.0], [2.0]]))
    assert terms["balance"].tolist() == [1.0, 0.0, 0.5]


def test_no_gradient_of_the_critic_loss_reaches_the_generator():
    fake = torch.ones(4, 1, requires_grad=True)
    critic = Critic(Weight(1.0), NonSaturating(), {"gradient_penalty": GradientPenalty()})
    critic.loss(torch.zeros(4, 1), fake * 2)["loss"].sum().backward()
    assert fake.grad is None
    critic.generator_loss(torch.zeros(4, 1), fake * 2).sum().backward()
    assert (fake.grad < 0).all()


def test_one_pass_or_two_is_the_same_without_batch_norm():
    torch.manual_seed(0)
    discriminator = DCGANDiscriminator(8, 1, width=4, norm="none", num_classes=3)
    real, fake, label = torch.randn(5, 1, 8, 8), torch.randn(5, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1])
    assert Critic(discriminator, Hinge()).concatenate
    together, apart = (
        Critic(discriminator, Hinge(), concatenate=c).loss(real, fake, {"label": label}) for c in (True, False)
    )
    for name, values in together.items():
        torch.testing.assert_close(values, apart[name])


def test_with_batch_norm_real_and_fake_keep_their_own_statistics():
    torch.manual_seed(0)
    critic = Critic(DCGANDiscriminator(16, 1, width=4, norm="batch"), Hinge())
    assert not critic.concatenate
    real = torch.randn(8, 1, 16, 16)
    scores = [critic.loss(real, fake)["real"] for fake in (torch.randn_like(real), 5 * torch.randn_like(real))]
    torch.testing.assert_close(*scores)


def test_penalties_refuse_a_discriminator_with_batch_norm():
    with pytest.raises(ValueError, match=r"must have no batch norm under the penalties \['r1'\].*got DCGAN"):
        Critic(DCGANDiscriminator(16, 1, width=4, norm="batch"), Hinge(), {"r1": R1()})


def test_packs_of_real_and_fake_never_mix():
    discriminator = MLPDiscriminator((2,), width=8, pack=3)
    critic, real, fake = Critic(discriminator, Hinge()), torch.randn(4, 2), torch.randn(4, 2)
    terms = critic.loss(real, fake)
    torch.testing.assert_close(terms["real"], discriminator(real))
    torch.testing.assert_close(terms["fake"], discriminator(fake))
    with pytest.raises(ValueError, match="concatenate must be false or null for a discriminator with packs, got true"):
        Critic(discriminator, Hinge(), concatenate=True)
    with pytest.raises(ValueError, match=r"must have no packs under the penalties \['r1'\].*got MLP.* with packs"):
        Critic(discriminator, Hinge(), {"r1": R1()})


def test_groups_of_real_and_fake_never_mix_and_a_gradient_is_that_of_a_group():
    discriminator = MLPDiscriminator((2,), width=8, diversity=MinibatchStd(2))
    critic, real, fake = Critic(discriminator, Hinge(), {"r1": R1(3.0)}), torch.randn(4, 2), torch.randn(4, 2)
    terms = critic.loss(real, fake)
    torch.testing.assert_close(terms["real"], discriminator(real))
    torch.testing.assert_close(terms["fake"], discriminator(fake))
    slopes = torch.autograd.functional.jacobian(discriminator, real)  # of score i at sample j
    assert [[bool(each.any()) for each in row] for row in slopes] == [
        [i // 2 == j // 2 for j in range(4)] for i in range(4)
    ]
    torch.testing.assert_close(terms["penalty/r1"], 1.5 * slopes.sum(0).square().sum(1))
    with pytest.raises(ValueError, match="concatenate must be false or null for a discriminator with groups, got true"):
        Critic(discriminator, Hinge(), concatenate=True)


def test_constraints_act_on_the_discriminator():
    critic = Critic(Weight(3.0), Wasserstein(), constraints={"weight_clip": WeightClip(0.01)})
    critic.constrain()
    assert float(critic.discriminator.psi) == pytest.approx(0.01)
