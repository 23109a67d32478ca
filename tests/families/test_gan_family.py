"""The adversarial game: who moves when, what a move leaves untouched, what it averages, and that it converges."""

import copy
import functools

import lightning
import pytest
import torch
from torch import nn

from games import ADAM, SGD, Watched, digits_like, every_part, fit
from genexp.adversarial.constraints import WeightClip
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import Hinge, NonSaturating, Wasserstein
from genexp.adversarial.pairings import Plain, RelativisticAverage, RelativisticPaired
from genexp.adversarial.penalties import R1, GradientPenalty
from genexp.conditioning.base import UNCONDITIONAL
from genexp.contracts import LatentDecoder
from genexp.families.gan import GAN
from genexp.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genexp.networks.mlp import MLPDiscriminator, MLPGenerator


def points(batches, size):
    generator = torch.Generator().manual_seed(0)
    return [{"image": torch.randn(size, 2, generator=generator)} for _ in range(batches)]


def mlp_gan(critic=None, **options):
    torch.manual_seed(0)
    critic = critic or Critic(MLPDiscriminator((2,), width=8, depth=1), Hinge())
    optimizers = {"generator_optimizer": ADAM, "critic_optimizer": ADAM} | options
    return GAN(MLPGenerator((2,), latent_size=3, width=8, depth=1), critic, **optimizers)


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_12800_images_at_batch_128_are_100_batches(critic_steps):
    model = fit(mlp_gan(critic_steps=critic_steps), points(100, 128))
    assert (model.batches, model.images_seen) == (100, 12_800)
    assert model.steps == {"critic": 100, "generator": 100 // critic_steps}


def test_the_turn_of_the_generator_follows_the_batch_count():
    model = mlp_gan(critic_steps=3)
    model.batches = 4  # as after a resume
    turns = []
    model._generator_step = lambda batch: turns.append(model.batches) or {}
    fit(model, points(8, 4))
    assert turns == [5, 8, 11]


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_a_step_leaves_the_other_player_bitwise_untouched(norm):
    torch.manual_seed(0)
    generator = DCGANGenerator(8, 1, 4, width=4, norm=norm)
    critic = Critic(DCGANDiscriminator(8, 1, width=4, norm=norm, base_size=2), NonSaturating())
    model = fit(Watched(generator, critic, ADAM, ADAM), digits_like(2, 6))
    assert [name for name, _ in model.changes] == ["critic", "generator"] * 2
    buffers = {
        f"{player}.{key}"
        for player in ("generator", "critic")
        for key, _ in model.get_submodule(player).named_buffers()
    }
    assert len(buffers) >= 6
    for name, changed in model.changes:
        own = {key for key in model.state_dict() if key.startswith(f"{name}.")}
        assert changed <= own
        assert buffers & own & changed
        assert {f"{name}.{key}" for key, _ in model.get_submodule(name).named_parameters()} <= changed


@pytest.mark.parametrize("pairing", [Plain(), RelativisticPaired()], ids=lambda each: type(each).__name__)
def test_accumulated_micro_batches_equal_the_full_batch(pairing):
    def trained(accumulate):
        torch.manual_seed(0)
        penalties = {"gradient_penalty": GradientPenalty(), "r1": R1()}
        discriminator = DCGANDiscriminator(8, 1, width=4, norm="none", num_classes=3)
        critic = Critic(discriminator, Wasserstein(pairing=pairing), penalties)
        generator = DCGANGenerator(8, 1, 4, width=4, norm="none", num_classes=3)
        model = GAN(generator, critic, SGD, SGD, critic_steps=2, num_classes=3)
        return fit(model.arrange(accumulate), digits_like(4, 6, labels=True))

    whole, halves = trained(1), trained(2)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(halves.state_dict()[name], value, atol=1e-6, rtol=1e-5)
    mean, again = whole.terms.flush(), halves.terms.flush()
    assert mean == pytest.approx(again, rel=1e-4, abs=1e-6)


def test_all_parts_together_are_exact_under_accumulation_and_move_one_player_a_step():
    def trained(accumulate):
        return fit(every_part().arrange(accumulate), digits_like(5, 6, labels=True))

    whole, thirds = trained(1), trained(3)
    assert whole.steps == {"critic": 5 + 3, "generator": 5 + 3}  # three lazy steps each, at batches 0, 2 and 4
    assert float(whole.critic.augmentations["ada"].p) != 0.5
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(thirds.state_dict()[name], value, atol=1e-5, rtol=1e-4)
    for name, changed in whole.changes:
        other = {"critic": "generator.", "generator": "critic."}[name]
        assert not [key for key in changed if key.startswith(other)]


def test_all_parts_go_on_from_their_state_as_if_never_stopped():
    batches = digits_like(6, 6, labels=True)
    whole = fit(every_part(), batches)
    first = fit(every_part(), batches[:3])
    rest = every_part()
    rest.load_state_dict(first.state_dict())
    rest.images_seen, rest.batches, rest.steps = first.images_seen, first.batches, dict(first.steps)
    fit(rest, batches[3:])
    for name, value in whole.state_dict().items():
        assert torch.equal(rest.state_dict()[name], value), name


def test_weights_are_clipped_after_every_critic_step():
    critic = Critic(MLPDiscriminator((2,), width=8), Wasserstein(), constraints={"clip": WeightClip(0.01)})

    class Largest(lightning.Callback):
        seen: list[float] = []  # noqa: RUF012

        def on_train_batch_end(self, trainer, model, *_):
            self.seen.append(max(float(p.detach().abs().max()) for p in model.critic.parameters()))

    model = fit(mlp_gan(critic), points(5, 16), callbacks=[Largest()])
    assert Largest.seen == pytest.approx([0.01] * 5)
    assert max(float(p.detach().abs().max()) for p in model.generator.parameters()) > 0.01


def test_fakes_carry_the_labels_of_the_real_batch_and_a_latent_of_their_own_in_each_step():
    seen = []

    class Noting(MLPGenerator):
        def forward(self, latent, condition=UNCONDITIONAL):
            seen.append((latent, condition["label"]))
            return super().forward(latent, condition)

    critic = Critic(MLPDiscriminator((2,), width=8, num_classes=3), Hinge())
    generator = Noting((2,), latent_size=3, width=8, num_classes=3)
    batch = {"image": torch.randn(4, 2), "label": torch.tensor([2, 0, 1, 1])}
    fit(GAN(generator, critic, ADAM, ADAM, num_classes=3), [batch])
    (first, label), (second, again) = seen
    assert torch.equal(label, batch["label"])
    assert torch.equal(again, batch["label"])
    assert not torch.equal(first, second)


def test_terms_average_over_every_batch_they_occur_in():
    model = mlp_gan(critic_steps=4)
    scores = []
    inner = model._critic_step
    model._critic_step = lambda batch: scores.append(inner(batch)) or scores[-1]
    fit(model, points(8, 16))
    means = model.terms.flush()
    names = {"train/critic/loss", "train/critic/real", "train/critic/fake", "train/balance", "train/generator/loss"}
    assert set(means) == names
    for name in names - {"train/generator/loss"}:
        assert means[name] == pytest.approx(float(torch.stack([terms[name] for terms in scores]).mean()), rel=1e-5)


def test_held_out_scores_are_those_of_the_critic_and_change_nothing():
    model = mlp_gan().eval()
    before = copy.deepcopy(model.state_dict())
    batch = points(1, 8)[0]
    terms = model.validate_batch(batch)
    torch.testing.assert_close(terms["val/critic/real"], model.critic(batch["image"]).mean())
    assert set(terms) == {"val/critic/real", "val/critic/fake"}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_family_is_the_decoder_that_samplers_draw_from():
    model = mlp_gan()
    assert isinstance(model.source(), LatentDecoder)
    latent = torch.randn(5, *model.latent_shape)
    assert torch.equal(model.decode(latent), model.generator(latent))


def test_mixed_precision_trains_with_a_full_precision_penalty():
    critic = Critic(MLPDiscriminator((2,), width=8), Wasserstein(), {"gradient_penalty": GradientPenalty()})
    exact, mixed = (
        fit(mlp_gan(copy.deepcopy(critic)), points(1, 64), precision=precision).terms.flush()
        for precision in ("32-true", "bf16-mixed")
    )
    assert mixed["train/critic/penalty/gradient_penalty"] == pytest.approx(
        exact["train/critic/penalty/gradient_penalty"], rel=1e-2
    )
    assert mixed["train/critic/loss"] == pytest.approx(exact["train/critic/loss"], rel=5e-2)


class Shift(nn.Module):
    """G(z) = z + theta."""

    latent_shape = (2,)

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2))

    def forward(self, latent, condition=UNCONDITIONAL):
        return latent + self.theta


class Slope(nn.Module):
    """D(x) = psi . x."""

    def __init__(self):
        super().__init__()
        self.psi = nn.Parameter(torch.zeros(2))

    def forward(self, image, condition=UNCONDITIONAL):
        return image @ self.psi


def test_the_game_converges_to_the_mean_of_the_data():
    torch.manual_seed(0)
    mean = torch.tensor([1.0, -2.0])
    batches = [{"image": torch.randn(64, 2) + mean} for _ in range(150)]
    optimizer = functools.partial(torch.optim.SGD, lr=0.3)
    model = GAN(Shift(), Critic(Slope(), NonSaturating(), {"r1": R1(1.0)}), optimizer, optimizer)
    fit(model, batches)
    torch.testing.assert_close(model.generator.theta.detach(), mean, atol=0.2, rtol=0)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="critic_steps must be at least 1 for each generator step, got 0"):
        mlp_gan(critic_steps=0)
    with pytest.raises(
        ValueError, match="generator must read the conditions of the model, label, got one that reads n"
    ):
        mlp_gan(num_classes=3)
    made = functools.partial(torch.optim.SGD, lr=0.1)
    conditional = GAN(Shift(), Critic(Slope(), NonSaturating()), made, made, num_classes=3)
    with pytest.raises(ValueError, match=r"batch must have label for a model of 3 classes, got \['image'\]"):
        conditional.validate_batch(points(1, 4)[0])


def test_means_over_a_batch_are_not_taken_over_parts_of_it():
    critic = Critic(MLPDiscriminator((2,), width=8), Hinge(pairing=RelativisticAverage()))
    assert mlp_gan(critic).critic is critic
    with pytest.raises(ValueError, match=r"accumulate must be 1 with model\.critic\.objective\.pairing=rel"):
        mlp_gan(critic).arrange(accumulate=2)
