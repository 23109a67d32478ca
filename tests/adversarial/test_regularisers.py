"""Penalties of scores, of weights and of a generator, against closed forms; lazy ones; unrolled steps by hand."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from genexp.adversarial.augmentations import DiffAugment
from genexp.adversarial.auxiliary import AuxiliaryClassifier
from genexp.adversarial.critic import Critic
from genexp.adversarial.generator_penalties import FeatureMatching, ModeSeeking, PathLength
from genexp.adversarial.objectives import Hinge, NonSaturating, Wasserstein
from genexp.adversarial.penalties import R1, R2
from genexp.adversarial.regularisers import Penalties
from genexp.adversarial.score_penalties import Consistency, LeCam
from genexp.adversarial.steps import CriticStep, GeneratorStep
from genexp.adversarial.unrolling import Unrolled, require_differentiable
from genexp.adversarial.weight_penalties import HistoricalAverage, Orthogonal, matrices
from genexp.conditioning.base import UNCONDITIONAL
from genexp.networks.dcgan import DCGANDiscriminator
from genexp.networks.mlp import MLPDiscriminator
from genexp.networks.stylegan2 import StyleGAN2Generator


class Sum(nn.Module):
    """D(x) = psi sum(x)."""

    def __init__(self, psi=2.0):
        super().__init__()
        self.psi = nn.Parameter(torch.tensor(psi, dtype=torch.float64))

    def forward(self, image, condition=UNCONDITIONAL):
        return self.psi * image.flatten(1).sum(1)


class Matrix(nn.Module):
    """G(z) = A z as an image (1, 1, D)."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, latent, condition=UNCONDITIONAL):
        return (latent @ self.matrix.T)[:, None, None]


def test_consistency_is_the_squared_change_of_the_score_on_each_side():
    real, fake = torch.ones(2, 1, 4, 4), 3 * torch.ones(2, 1, 4, 4)
    part = Consistency(DiffAugment(("cutout",), hole=0.5), weight=10.0, fake_weight=1.0)
    noise = torch.full((2, 2, 8), 0.5)  # a hole of two by two in the middle takes away four pixels
    step = CriticStep(Sum(0.5), real.double(), fake.double(), noise=noise)
    torch.testing.assert_close(part(step), torch.full((2,), 10 * (0.5 * 4) ** 2 + (0.5 * 12) ** 2, dtype=torch.float32))


def test_lecam_holds_each_side_near_the_mean_of_the_other():
    part = LeCam(weight=2.0, decay=0.5, start=10)
    step = CriticStep(Sum(), *torch.zeros(2, 3, 1, 1, 1)).scored(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3))
    assert part(step).tolist() == [0, 0, 0]
    part.observe({"real": torch.tensor(4.0), "fake": torch.tensor(-2.0)}, 10)  # averages 2 and -1
    assert part(step).tolist() == [2 * (4 + 4), 2 * (9 + 4), 2 * (16 + 4)]
    assert {"real", "fake", "images"} == set(part.state_dict())


def test_lecam_every_few_steps_is_as_many_times_its_value():
    discriminator, drawn = Sum(), {"mix": torch.zeros(3, dtype=torch.float64)}
    each, lazy = (
        Critic(discriminator, Hinge(), {"lecam": LeCam(weight=2.0, interval=interval)}) for interval in (1, 4)
    )
    real, fake = torch.randn(2, 3, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    value = each.loss(real, fake, drawn=drawn)["penalty/lecam"]
    told = lazy.lazy_loss(real, fake, UNCONDITIONAL, drawn, 4)
    torch.testing.assert_close(told["loss"], 4 * value)
    torch.testing.assert_close(told["penalty/lecam"], value)


def test_weights_of_modulated_convolutions_are_matrices_too():
    generator = StyleGAN2Generator(latent_size=4, channels=1, image_size=8, width=8)
    of_layers = sum(each.numel() for each in matrices(generator))
    named = {name: p.numel() for name, p in generator.named_parameters() if p.ndim > 1}
    images = sum(count for name, count in named.items() if "constant" in name)
    assert of_layers == sum(named.values()) - images, named


def test_orthogonal_counts_what_rows_have_in_common_and_not_their_length():
    step = CriticStep(nn.Sequential(nn.Linear(2, 2), nn.ConvTranspose2d(3, 1, 1)), *torch.zeros(2, 1, 2))
    step.discriminator[0].weight.data = torch.tensor([[3.0, 0.0], [1.0, 1.0]])
    assert float(Orthogonal(0.5)(step)) == pytest.approx(0.5 * 2 * 9)
    step.discriminator[0].weight.data = torch.tensor([[1.001, 2.003], [3.007, 0.503]])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = float(Orthogonal()(step))
    assert mixed == float(Orthogonal()(step))
    step.discriminator[0].weight.data = torch.tensor([[3.0, 0.0], [0.0, 7.0]])
    assert float(Orthogonal(0.5)(step)) == 0


def test_historical_average_pulls_to_the_mean_of_all_steps():
    critic = Critic(Sum(2.0), Hinge(), {"history": HistoricalAverage(3.0)})
    image = torch.zeros(2, 1, 1, 1, dtype=torch.float64)
    assert critic.loss(image, image)["penalty/history"].tolist() == [0, 0]
    for psi in (4.0, 6.0):
        critic.discriminator.psi.data.fill_(psi)
        critic.observe(critic.loss(image, image), 2)
    assert critic.loss(image, image)["penalty/history"].tolist() == [3 * (6 - 4) ** 2] * 2
    again = Critic(Sum(6.0), Hinge(), {"history": HistoricalAverage(3.0)})
    again.load_state_dict(critic.state_dict())
    assert again.loss(image, image)["penalty/history"].tolist() == [12, 12]


def test_path_length_is_the_norm_of_the_jacobian_on_the_noise():
    torch.manual_seed(0)
    generator = Matrix(torch.randn(6, 3))
    step = GeneratorStep(generator, Sum(), torch.randn(5, 3), torch.zeros(5, 1, 1, 6))
    part = PathLength(weight=2.0, decay=0.9)
    noise = part.draw(step.real, 0)
    length = (noise.flatten(1) @ generator.matrix).norm(dim=1)
    torch.testing.assert_close(
        part(GeneratorStep(generator, Sum(), step.latent, step.real, noise=noise)), 2 * length**2
    )
    part.observe({}, 5)
    torch.testing.assert_close(part.mean, 0.1 * length.mean().detach())
    part.observe({}, 5)  # without an evaluation it stays
    torch.testing.assert_close(part.mean, 0.1 * length.mean().detach())


def test_mode_seeking_pays_for_images_that_change_less_than_latents():
    latent = torch.randn(4, 3)
    for size in (1.0, 0.1):
        step = GeneratorStep(Matrix(size * torch.eye(3)), Sum(), latent, torch.zeros(4, 1, 1, 3))
        torch.testing.assert_close(ModeSeeking(2.0)(step), torch.tensor(2 / (size + 1e-5)))


def test_feature_matching_compares_mean_features():
    torch.manual_seed(0)
    network = MLPDiscriminator((1, 1, 3), width=4, depth=1)
    real, fake = torch.randn(2, 6, 1, 1, 3)
    step = GeneratorStep(Matrix(torch.eye(3)), network, fake[:, 0, 0], real, fake)
    gap = network.features(real).mean(0) - network.features(fake).mean(0)
    torch.testing.assert_close(FeatureMatching(0.5)(step), 0.5 * gap.square().sum())


def test_a_lazy_penalty_counts_its_interval_and_shortens_the_steps():
    critic = Critic(Sum(), Hinge(), {"r1": R1(1.0, interval=4), "r2": R2(1.0)})
    image = torch.ones(2, 1, 1, 2)
    assert "penalty/r1" not in critic.loss(image, image)
    terms = critic.lazy_loss(image, image, {}, critic.draw(image), 4)
    assert terms["penalty/r1"].tolist() == [4.0, 4.0]  # gamma / 2 (psi^2 + psi^2)
    assert terms["loss"].tolist() == [16.0, 16.0]
    assert [critic.penalties.due(step) for step in (0, 1, 4, 6)] == [[4], [], [4], []]
    built = critic.penalties.shortened(lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.5, 0.9)))(critic.parameters())
    assert built.param_groups[0]["lr"] == pytest.approx(0.08)
    assert built.param_groups[0]["betas"] == pytest.approx((0.5**0.8, 0.9**0.8))


def test_an_interval_below_one_and_settings_of_none_are_refused():
    with pytest.raises(ValueError, match=r"penalties.r1.interval must be at least 1 step, got 0"):
        Penalties("penalties", {"r1": R1(interval=0)}, Sum())
    with pytest.raises(TypeError, match=r"augmentations.ada must be a part .* got \{'p': 0.1\}"):
        Critic(Sum(), Hinge(), augmentations={"ada": {"p": 0.1}})


def test_an_auxiliary_classifier_is_trained_by_both_players_and_its_critic_told_no_class():
    torch.manual_seed(0)
    critic = Critic(DCGANDiscriminator(8, 1, width=2, norm="none"), Hinge(), auxiliary=AuxiliaryClassifier(3, 2.0, 0.5))
    real, fake, condition = torch.randn(6, 1, 8, 8), torch.randn(6, 1, 8, 8), {"label": torch.arange(6) % 3}
    terms = critic.loss(real, fake, condition)
    logits = [critic.auxiliary.output(critic.discriminator.features(image)) for image in (real, fake)]
    entropy = [nn.functional.cross_entropy(each, condition["label"], reduction="none") for each in logits]
    torch.testing.assert_close(terms["classes"], 2 * (entropy[0] + entropy[1]))
    torch.testing.assert_close(terms["loss"], Hinge().critic(terms["real"], terms["fake"]) + terms["classes"])
    expected = -critic.discriminator(fake) + 0.5 * entropy[1]
    torch.testing.assert_close(critic.generator_loss(real, fake, condition), expected)


def test_a_classifier_beside_a_discriminator_that_is_told_the_class_is_refused():
    told = DCGANDiscriminator(8, 1, width=2, norm="none", num_classes=3)
    with pytest.raises(ValueError, match="discriminator must have num_classes=null beside an auxiliary classifier"):
        Critic(told, Hinge(), auxiliary=AuxiliaryClassifier(3))
    with pytest.raises(ValueError, match="num_classes must be given for an auxiliary classifier, got none"):
        AuxiliaryClassifier(None)


@pytest.mark.parametrize("build", [lambda p: torch.optim.SGD(p, 0.3), lambda p: torch.optim.Adam(p, 0.1, (0.5, 0.9))])
def test_unrolled_steps_are_those_of_the_optimiser_and_differentiable(build):
    """D(x) = psi x on the real 1 and fakes theta: psi after k steps by hand, and the slope by finite differences."""
    real = torch.ones(1, 1, 1, 1, dtype=torch.float64)

    def loss(theta, steps):
        critic = Critic(Sum(0.7), Wasserstein(), {"r1": R1(0.2)})
        optimizer = build(critic.parameters())
        for _ in range(2):  # a state of its own
            optimizer.zero_grad()
            critic.loss(real, real * 0.3)["loss"].mean().backward()
            optimizer.step()
        value = Unrolled(steps).generator_loss(critic, optimizer, real, theta * real, {}, critic.draw(real)).mean()
        before = float(critic.discriminator.psi)
        for _ in range(steps):
            optimizer.zero_grad()
            critic.loss(real, (theta * real).detach())["loss"].mean().backward()
            optimizer.step()
        assert float(value) == pytest.approx(-float(critic.discriminator.psi) * float(theta), rel=1e-5)
        assert before != float(critic.discriminator.psi)
        return value

    theta = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(theta, 3), theta)
    up, down = (loss(torch.tensor(0.5 + e, dtype=torch.float64), 3) for e in (1e-3, -1e-3))
    assert float(slope) == pytest.approx(float(up - down) / 2e-3, rel=2e-3)


def test_unrolling_leaves_the_critic_as_it_is():
    torch.manual_seed(0)
    critic = Critic(DCGANDiscriminator(8, 1, width=2, norm="spectral"), NonSaturating())
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    real, fake = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8, requires_grad=True)
    critic.eval()
    optimizer = torch.optim.Adam(critic.parameters())
    Unrolled(2).generator_loss(critic, optimizer, real, fake, {}, critic.draw(real)).mean().backward()
    assert fake.grad.abs().sum() > 0
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())
    assert all(p.grad is None for p in critic.parameters())


def test_optimisers_that_are_not_differentiated_are_refused():
    weight = [nn.Parameter(torch.zeros(1))]
    with pytest.raises(ValueError, match=r"critic_optimizer must be Adam or SGD .*, got RMSprop"):
        require_differentiable(torch.optim.RMSprop(weight))
    with pytest.raises(ValueError, match=r"got SGD with momentum=0.9"):
        require_differentiable(torch.optim.SGD(weight, 0.1, momentum=0.9))
    with pytest.raises(ValueError, match="steps must be at least 1 step of the critic, got 0"):
        Unrolled(0)


def test_mode_seeking_is_of_the_means_over_a_batch():
    """So that a picture that hardly changes does not outweigh all others."""
    latent = torch.tensor([[0.0], [1.0], [3.0]])
    image = torch.tensor([[0.0], [0.01], [1.0]])
    changes, moves = ((each - each.roll(1, 0)).abs().mean() for each in (image, latent))

    class Uneven(nn.Module):
        def forward(self, z, condition=UNCONDITIONAL):
            return torch.where(z == 3, 1.0, 0.01 * z)[:, None, None]

    step = GeneratorStep(Uneven(), Sum(), latent, torch.zeros(3, 1, 1, 1))
    torch.testing.assert_close(ModeSeeking(2.0)(step), 2 / (changes / moves + 1e-5))


def test_path_lengths_are_of_the_network_itself_which_is_differentiated_twice():
    generator = Matrix(torch.randn(6, 3))
    generator._compiled_call_impl = _never  # what torch.compile puts in the place of a call
    step = GeneratorStep(generator, Sum(), torch.randn(5, 3), torch.zeros(5, 1, 1, 6))
    assert PathLength()(replace(step, noise=torch.randn(5, 1, 1, 6))).isfinite().all()


def _never(*given, **named):
    raise AssertionError("the compiled network was called")


@pytest.mark.parametrize("together", [True, False])
def test_a_classifier_sees_both_sides_in_one_pass_or_two(together):
    torch.manual_seed(0)
    discriminator = DCGANDiscriminator(8, 1, width=2, norm="none")
    seen, judged = [], discriminator.judged
    discriminator.judged = lambda image, told=UNCONDITIONAL: seen.append(len(image)) or judged(image, told)
    critic = Critic(discriminator, Hinge(), auxiliary=AuxiliaryClassifier(3), concatenate=together)
    real, fake, condition = torch.randn(6, 1, 8, 8), torch.randn(6, 1, 8, 8), {"label": torch.arange(6) % 3}
    terms = critic.loss(real, fake, condition)
    assert seen == ([12] if together else [6, 6])
    torch.testing.assert_close(terms["real"], critic.discriminator(real))
    logits = [critic.auxiliary.output(critic.discriminator.features(image)) for image in (real, fake)]
    entropy = [nn.functional.cross_entropy(each, condition["label"], reduction="none") for each in logits]
    torch.testing.assert_close(terms["classes"], sum(entropy))
