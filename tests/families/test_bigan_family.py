"""Pairs of images and latents: the joint loss in closed form, who moves when, an encoder that inverts a generator."""

import copy
import functools

import pytest
import torch
from torch import nn
from torch.nn.functional import relu, softplus

from games import SGD, SHAPE, SIZE, WatchedBiGAN, bigan, digits_like, every_part_of_pairs, fit, joint
from genexp.adversarial.adaptive import AdaptiveAugment
from genexp.adversarial.augmentations import DiffAugment, InstanceNoise
from genexp.adversarial.auxiliary import AuxiliaryClassifier
from genexp.adversarial.critic import Critic
from genexp.adversarial.generator_penalties import FeatureMatching
from genexp.adversarial.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from genexp.adversarial.pairings import RelativisticAverage, RelativisticPaired
from genexp.adversarial.penalties import DRAGAN, R1, R2, GradientPenalty
from genexp.adversarial.regularisers import Penalties
from genexp.adversarial.score_penalties import Consistency
from genexp.adversarial.unrolling import Unrolled
from genexp.conditioning.base import UNCONDITIONAL
from genexp.contracts import LatentEncoder, Reconstructor
from genexp.families.bigan import BiGAN
from genexp.families.gan import GAN
from genexp.networks.autoencoder import ConvEncoder, MLPEncoder
from genexp.networks.batch_sight import MinibatchStd
from genexp.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genexp.networks.joint import JointDiscriminator
from genexp.networks.mlp import MLPDiscriminator, MLPGenerator
from genexp.tensors import IndexedNoise


def pairs(count=4):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(count, 64 + SIZE, generator=generator) for _ in range(2)]


def test_a_pair_is_scored_by_its_image_its_latent_and_both():
    discriminator = joint()
    image, latent = torch.randn(5, *SHAPE), torch.randn(5, SIZE)
    pair = discriminator.pair(image, latent)
    assert all(torch.equal(part, given) for part, given in zip(discriminator.parts(pair), (image, latent), strict=True))
    other = discriminator(discriminator.pair(image, latent.flip(0)))
    further = discriminator(discriminator.pair(image.flip(0), latent))
    score = discriminator(pair)
    assert score.shape == (5, 3)
    torch.testing.assert_close(score[:, 0], discriminator.image(image))
    torch.testing.assert_close(score[:, 0], other[:, 0])
    torch.testing.assert_close(score[:, 1], further[:, 1])
    for changed in (other, further):
        assert not torch.isclose(score[:, 2], changed[:, 2])[[0, 1, 3, 4]].any()
    assert joint(terms=["joint"])(pair).shape == (5,)


ENCODED = {
    Hinge(): (lambda r, f: relu(1 - r) + relu(1 + f), lambda r, f: r - f),
    Wasserstein(): (lambda r, f: f - r, lambda r, f: r - f),
    NonSaturating(): (lambda r, f: softplus(-r) + softplus(f), lambda r, f: softplus(-f) + softplus(r)),
    Minimax(): (lambda r, f: softplus(-r) + softplus(f), lambda r, f: -softplus(-r) - softplus(f)),
    LeastSquares(): (lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda r, f: ((f - 1) ** 2 + r**2) / 2),
    Hinge(pairing=RelativisticPaired()): (lambda r, f: relu(1 - (r - f)), lambda r, f: relu(1 - (f - r))),
}


@pytest.mark.parametrize("objective", ENCODED, ids=str)
def test_the_loss_is_that_of_every_term_for_both_players(objective):
    """Hinge: Donahue and Simonyan (2019), equations 1 to 4. The others: the labels of both sides are exchanged."""
    critic = Critic(joint(), objective)
    real, fake = pairs()
    scores = [critic.discriminator(side) for side in (real, fake)]
    terms = critic.loss(real, fake)
    of_critic, of_both = ENCODED[objective]
    torch.testing.assert_close(terms["loss"], of_critic(*scores).mean(1))
    torch.testing.assert_close(critic.generator_loss(real, fake), of_both(*scores).mean(1))
    torch.testing.assert_close(terms["real"], scores[0].mean(1))


def test_the_encoder_learns_to_be_taken_for_the_other_side():
    model = bigan()
    batch = digits_like(1, 6)[0]
    drawn = model._draw(batch)
    terms = model._generator_terms(drawn)
    slopes = torch.autograd.grad(terms["loss"], [*model.encoder.parameters()])
    assert all(slope.abs().max() > 0 for slope in slopes)
    step = 1e-3 / sum(float(slope.square().sum()) for slope in slopes) ** 0.5
    with torch.no_grad():
        for parameter, slope in zip(model.encoder.parameters(), slopes, strict=True):
            parameter -= step * slope
        real = model._judged_sides(drawn, model.generator(drawn["latent"]))[0]
        assert model._generator_terms(drawn)["loss"] < terms["loss"]
    assert real.shape == (6, 64 + SIZE)


@pytest.mark.parametrize(("penalty", "at"), [(R1(2.0), 0), (R2(2.0), 1), (GradientPenalty(3.0, 0.5), None)])
def test_gradient_penalties_differentiate_by_image_and_latent(penalty, at):
    """The score of a linear discriminator has the slope (a, b) by (x, z): |a|^2 + |b|^2, not |a|^2."""

    class Plane(JointDiscriminator):
        def forward(self, pair, condition=UNCONDITIONAL):
            image, latent = self.parts(pair)
            return image.flatten(1) @ a + latent @ b

    a, b = torch.randn(64), torch.randn(SIZE)
    image = DCGANDiscriminator(8, 1, width=4, norm="none")
    critic = Critic(Plane(SHAPE, SIZE, image, width=8), Wasserstein(), {"it": penalty})
    square = a.square().sum() + b.square().sum()
    expected = square if at is not None else 3 * (square.sqrt() - 0.5) ** 2
    torch.testing.assert_close(critic.loss(*pairs())["penalty/it"], expected.expand(4), rtol=1e-4, atol=1e-4)


def test_augmentations_change_the_image_of_a_pair_and_not_its_latent():
    augmentations = {"diff": DiffAugment(), "ada": AdaptiveAugment(p=0.9), "noise": InstanceNoise()}
    critic = Critic(joint(), Hinge(), augmentations=augmentations)
    pair, image = pairs()[0], torch.zeros(4, *SHAPE)
    seen, _ = critic.view(critic.draw(image))(pair, UNCONDITIONAL, "real")
    (before, latent), (after, kept) = critic.discriminator.parts(pair), critic.discriminator.parts(seen)
    assert torch.equal(latent, kept)
    assert all(not torch.equal(x, y) for x, y in zip(before, after, strict=True))
    for name, penalty in {"dragan": DRAGAN(), "consistency": Consistency(InstanceNoise(), 1.0, 1.0)}.items():
        critic = Critic(joint(), Hinge(), {name: penalty})
        assert (critic.loss(*pairs(), drawn=critic.draw(image))[f"penalty/{name}"] > 0).all()


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_generator_and_encoder_are_one_player_and_who_waits_stays_bitwise(norm):
    model = fit(bigan(family=WatchedBiGAN, norm=norm), digits_like(2, 6))
    assert [name for name, _ in model.changes] == ["critic", "generator"] * 2
    for name, changed in model.changes:
        own = {"critic": ("critic.",), "generator": ("generator.", "encoder.")}[name]
        assert all(key.startswith(own) for key in changed)
        weights = {key for key, _ in model.named_parameters() if key.startswith(own) and not key.endswith("bias")}
        assert weights <= changed  # hinges cancel the slope by a bias of scores


def test_all_parts_together_are_exact_under_accumulation():
    whole, thirds = (fit(every_part_of_pairs().arrange(parts), digits_like(4, 6, labels=True)) for parts in (1, 3))
    assert whole.steps == {"critic": 4 + 2, "generator": 4 + 2}  # lazy steps at batches 0 and 2
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(thirds.state_dict()[name], value, atol=1e-5, rtol=1e-4)


def test_all_parts_go_on_from_their_state_as_if_never_stopped():
    batches = digits_like(4, 6, labels=True)
    whole, first, rest = (
        fit(every_part_of_pairs(), batches),
        fit(every_part_of_pairs(), batches[:2]),
        every_part_of_pairs(),
    )
    rest.load_state_dict(first.state_dict())
    rest.images_seen, rest.batches, rest.steps = first.images_seen, first.batches, dict(first.steps)
    fit(rest, batches[2:])
    for name, value in whole.state_dict().items():
        assert torch.equal(rest.state_dict()[name], value), name


def test_generator_and_encoder_look_through_a_step_of_the_critic():
    """One step of SGD by hand: the gradient of both through the critic that it leads to."""
    model = bigan(unrolled=Unrolled(1)).double()
    part = {name: value.double() for name, value in model._draw(digits_like(1, 4)[0]).items()}
    weights = dict(model.critic.named_parameters())

    def sides():
        return model._judged_sides(part, model.generator(part["latent"]))

    def through(which, owned):
        real, fake = sides()
        terms = {"loss": lambda c: c.loss(real, fake, drawn=part, through=True)["loss"]}
        terms["generator"] = lambda c: c.generator_loss(real, fake, drawn=part)

        class Asked(nn.Module):
            def __init__(self):
                super().__init__()
                self.critic = model.critic

            def forward(self):
                return terms[which](self.critic).mean()

        return torch.func.functional_call(Asked(), {f"critic.{name}": value for name, value in owned.items()}, ())

    slopes = torch.autograd.grad(through("loss", weights), [*weights.values()], create_graph=True)
    moved = {name: value - 0.1 * slope for (name, value), slope in zip(weights.items(), slopes, strict=True)}
    makers = [each for network in model.players()["generator"] for each in network.parameters()]
    expected = torch.autograd.grad(through("generator", moved), makers)
    found = model.unrolled.generator_loss(model.critic, SGD(model.critic.parameters()), *sides(), {}, part).mean()
    for slope, same in zip(torch.autograd.grad(found, makers), expected, strict=True):
        torch.testing.assert_close(slope, same)


def test_the_model_encodes_reconstructs_and_has_its_encoder_averaged():
    model = bigan().eval()
    assert isinstance(model.source(), LatentEncoder)
    assert isinstance(model.source(), Reconstructor)
    assert model.averaged_modules == ("generator", "encoder")
    batch = digits_like(1, 12)[0]
    assert torch.equal(model.reconstruct(batch), model.generator(model.encode(batch["image"])))
    drawn = model.latents(batch, IndexedNoise(0, range(12)))
    posterior = model.posterior(batch["image"])
    noise = IndexedNoise(0, range(12)).normal(SIZE)
    torch.testing.assert_close(drawn, posterior.mean + (posterior.log_variance / 2).exp() * noise)
    exact = bigan(stochastic=False).eval()
    assert torch.equal(exact.latents(batch, IndexedNoise(0, range(12))), exact.encode(batch["image"]))
    grid = model.extra_grids(batch, IndexedNoise(0, range(12)))["reconstruction"]
    assert torch.equal(grid.samples[:10], batch["image"][:10])
    before = copy.deepcopy(model.state_dict())
    terms = model.validate_batch(batch)
    torch.testing.assert_close(terms["val/critic/real"], model.scores(batch["image"]).mean())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Linear(nn.Module):
    """G(z) = A z + b with E(x) = C x + d of any spread: one number each."""

    latent_shape = (1,)

    def __init__(self, gain, outputs):
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.tensor(gain)), nn.Parameter(torch.zeros(1))
        self.spread = nn.Parameter(torch.full((1,), -4.0)) if outputs == 2 else None

    def forward(self, sample, condition=UNCONDITIONAL):
        made = self.gain * sample + self.bias
        return made if self.spread is None else torch.cat([made, self.spread.expand(len(sample), 1)], 1)


class Quadratic(JointDiscriminator):
    """D(x, z) = w . (x, z, x^2, x z, z^2): all that tells two Gaussians of the plane apart."""

    def __init__(self):
        super().__init__((1,), 1, MLPDiscriminator((1,), width=1, depth=1), width=1, depth=1, terms=["joint"])
        self.weight = nn.Parameter(torch.zeros(5))
        for part in (self.image, self.latent, self.joint, self.outputs):
            part.requires_grad_(False)

    def forward(self, pair, condition=UNCONDITIONAL):
        x, z = pair.unbind(1)
        return torch.stack([x, z, x * x, x * z, z * z], 1) @ self.weight


@pytest.mark.parametrize("stochastic", [False, True])
def test_of_gaussian_data_the_encoder_inverts_the_generator(stochastic):
    """x ~ N(2, 1.5^2): at the only equilibrium G(z) = 2 +- 1.5 z, and E(x) = (x - 2) / +-1.5 without any spread."""
    generator = torch.Generator().manual_seed(0)
    batches = [{"image": 2 + 1.5 * torch.randn(256, 1, generator=generator)} for _ in range(160)]
    critic = Critic(Quadratic(), Wasserstein(), {"r1": R1(0.5), "r2": R2(0.5)})
    sgd = functools.partial(torch.optim.SGD, lr=0.05)
    optimizers = {"generator_optimizer": sgd, "critic_optimizer": sgd}
    model = BiGAN(Linear(0.5, 1), critic, Linear(0.5, 2), stochastic=stochastic, **optimizers)
    fit(model, batches)
    latent = torch.randn(1000, 1, generator=generator)
    found = model.decode(latent).detach()
    assert float((model.encode(found) - latent).detach().square().mean()) < 0.02
    assert float(found.mean()) == pytest.approx(2, abs=0.2)
    assert float(found.std()) == pytest.approx(1.5, abs=0.2)


def test_what_cannot_mean_anything_is_refused_by_name():
    with pytest.raises(ValueError, match=r"critic.discriminator must be joint for model=bigan, got DCGANDisc"):
        bigan(Critic(DCGANDiscriminator(8, 1, width=4, norm="none"), Hinge()))
    with pytest.raises(ValueError, match=r"critic.discriminator must be one of images for model=gan, not joint, got J"):
        GAN(DCGANGenerator(8, 1, SIZE, width=4), Critic(joint(), Hinge()), SGD, SGD)
    with pytest.raises(ValueError, match=r"image.pack must be 1 in a joint discriminator.*got 2"):
        joint(pack=2)
    with pytest.raises(ValueError, match=r"image.conditioning must be concat in a joint discriminator of classes"):
        JointDiscriminator(SHAPE, SIZE, DCGANDiscriminator(8, 1, width=4, norm="none", num_classes=3))
    with pytest.raises(
        ValueError, match="terms must be a list of some of image, latent, joint, each once, got 'joint'"
    ):
        joint(terms="joint")
    with pytest.raises(ValueError, match=r"auxiliary must be null with a joint discriminator.*AuxiliaryClassifier"):
        Critic(joint(), Hinge(), auxiliary=AuxiliaryClassifier(3))
    with pytest.raises(ValueError, match=r"objective.pairing must be plain or relativistic_paired for a joint"):
        Critic(joint(), Hinge(pairing=RelativisticAverage()))
    with pytest.raises(ValueError, match=r"generator must have latents of shape \(3,\).*got \(5,\) of MLPGenerator"):
        BiGAN(
            MLPGenerator(SHAPE, 5),
            Critic(joint(), Hinge()),
            MLPEncoder(SHAPE, 5),
            generator_optimizer=SGD,
            critic_optimizer=SGD,
        )
    optimizers = {"generator_optimizer": SGD, "critic_optimizer": SGD}
    told = DCGANGenerator(8, 1, SIZE, width=4, num_classes=3), Critic(joint(num_classes=3), Hinge())
    with pytest.raises(ValueError, match="encoder must read the conditions of the model, label"):
        BiGAN(*told, ConvEncoder(1, 8, SIZE, width=8), num_classes=3, **optimizers)
    model = bigan()
    model.encoder = ConvEncoder(1, 8, 4, width=8)
    with pytest.raises(ValueError, match=r"encoder must return 2 \* latent_size = 6 values an image, got shape \(8,\)"):
        model.encode(torch.zeros(2, *SHAPE))


def test_mean_features_of_pairs_are_matched_by_the_generator_alone():
    """Features of real images with their latents, augmented, against those of generated ones."""
    model = bigan(Critic(joint(), Hinge(), augmentations={"noise": InstanceNoise()}))
    model.penalties = Penalties("generator_penalties", {"it": FeatureMatching(2.0)}, model.generator)
    part = model._draw(digits_like(1, 6)[0])
    sides = zip(model._judged_sides(part, model.generator(part["latent"])), ("real", "fake"), strict=True)
    seen = [model.critic.view(part)(pair, UNCONDITIONAL, side)[0] for pair, side in sides]
    real, fake = (model.critic.discriminator.judged(pair).features.mean(0) for pair in seen)
    found = model._generator_terms(part)["penalty/it"]
    torch.testing.assert_close(found, 2 * (real - fake).square().sum())
    slopes = torch.autograd.grad(found, [*model.encoder.parameters()], allow_unused=True)
    assert slopes == (None,) * len(slopes)


def test_groups_see_the_features_of_their_images():
    critic = Critic(joint(diversity=MinibatchStd(2)), Hinge())
    real, fake = pairs()
    torch.testing.assert_close(critic.loss(real, fake)["real"], critic.discriminator(real).mean(1))
    assert not critic.concatenate
