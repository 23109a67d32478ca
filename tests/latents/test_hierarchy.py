"""A hierarchy: one layer is the plain autoencoder, terms add up, noise goes down and comes back."""

import math
from functools import partial

import lightning
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from games import digits_like, fit
from genexp.families.hierarchy import HierarchicalVAE
from genexp.families.vae import VAE
from genexp.latents.gaussian import DiagonalGaussian
from genexp.latents.hierarchy import Hierarchy, balance, divergence
from genexp.losses.reconstruction import Bernoulli, Gaussian
from genexp.losses.spectral import SpectralPenalty
from genexp.networks.ladder import Ladder
from genexp.ramps import Constant
from genexp.tensors import BatchNoise, IndexedNoise

SGD = partial(torch.optim.SGD, lr=1e-4)


def ladder(groups=(1, 2), **settings):
    torch.manual_seed(0)
    made = Ladder(1, 8, groups, **{"latents": 2, "width": 8, "depth": 1} | settings)
    for parameter in made.parameters():  # groups that begin at their priors say nothing
        nn.init.normal_(parameter, std=0.15)
    return made


def model(groups=(1, 2), network=None, **settings):
    parts = {"reconstruction": Gaussian(0.5), "optimizer": SGD} | settings
    return HierarchicalVAE(network or ladder(groups), **parts).eval()


def observed(family, count=4, seed=0):
    image = digits_like(1, count)[0]["image"]
    return family.observe({"image": image}, IndexedNoise(seed, range(count)))


class Up(nn.Module):
    """The way up and the posterior of the first group, as the encoder of a plain autoencoder."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image, condition=None):
        state = self.network.prior(0, self.network.start(len(image)))[1]
        return self.network.posterior(0, state, self.network.features(image)[0]).flatten(1)


class Down(Up):
    """The way down from the first group, as its decoder."""

    def forward(self, latent, condition=None):
        state = self.network.prior(0, self.network.start(len(latent)))[1]
        return self.network.output(self.network.absorb(0, state, latent.unflatten(1, self.network.group_shapes[0])))


def test_a_hierarchy_of_one_layer_is_the_plain_autoencoder():
    network = ladder((1,), halvings=1)
    deep = model(network=network, soft_clamp=None)
    plain = VAE(Up(network), Down(network), Gaussian(0.5), 2 * 4 * 4, SGD).eval()
    batch = observed(deep)
    torch.testing.assert_close(deep.log_prob(batch), plain.log_prob(batch))
    for one, other in zip(deep.code_lengths(batch), plain.code_lengths(batch), strict=True):
        torch.testing.assert_close(one if one.ndim == 1 else one[:, 0], other if other.ndim == 1 else other.sum(1))
    weights = [each.log_weights(batch, IndexedNoise(5, range(4)), 3) for each in (deep, plain)]
    torch.testing.assert_close(*weights)
    torch.testing.assert_close(deep.encode(batch["image"]), plain.encode(batch["image"]))
    torch.testing.assert_close(deep.decode(batch["noise"]), plain.decode(batch["noise"]))


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("cell", ["bottleneck", "depthwise"])
def test_terms_of_all_groups_sum_to_the_bound(relative, cell):
    family = model(network=ladder((2, 1, 2), cell=cell), relative=relative)
    batch = observed(family)
    distortion, rates = family.code_lengths(batch)
    assert rates.shape == (4, 5)
    assert (rates > 0).all()
    torch.testing.assert_close(-distortion - rates.sum(1), family.log_prob(batch))
    terms = {name: value for name, value in family.validate_batch({"image": batch["image"]}).items()}
    layers = sum(terms[f"val/kl_layer_{group}"] for group in range(5))
    torch.testing.assert_close(layers, terms["val/kl"])
    torch.testing.assert_close(terms["val/elbo"], -terms["val/reconstruction"] - terms["val/kl"])


def test_the_divergence_is_that_of_torch_and_the_mean_weight_is_the_bound():
    one, other = (DiagonalGaussian(torch.randn(3, 2, 4), torch.randn(3, 2, 4)) for _ in range(2))
    normal = [Normal(each.mean, (each.log_variance / 2).exp()) for each in (one, other)]
    torch.testing.assert_close(divergence(one, other), kl_divergence(*normal).flatten(1).sum(1))
    family = model((1, 1))
    batch = observed(family, 2)
    many = family.log_weights(batch, IndexedNoise(1, range(2)), 1000).double()
    image = batch["image"].repeat_interleave(1000, 0)
    bounds = family.log_prob({"image": image, "noise": torch.randn(2000, *family.latent_shape)}).view(2, 1000)
    error = (many.var(1) / 1000 + bounds.var(1) / 1000).sqrt()
    assert ((many.mean(1) - bounds.mean(1)).abs() < 4 * error).all()
    assert (many.logsumexp(1) - math.log(1000) >= many.mean(1)).all()


def test_noise_of_posteriors_goes_down_to_the_image_that_they_mean():
    family = model((2, 2))
    batch = observed(family)
    latent = family.latents({"image": batch["image"]}, IndexedNoise(0, range(4)))
    descent = family.hierarchy.descend(batch["noise"], batch["image"])
    torch.testing.assert_close(latent, descent.noise)
    torch.testing.assert_close(family.decode(latent), family.reconstruction.mean(descent.raw), rtol=1e-4, atol=1e-4)
    drawn = family.hierarchy.descend(batch["noise"])
    torch.testing.assert_close(drawn.noise, batch["noise"], rtol=1e-4, atol=1e-4)
    assert torch.equal(drawn.kl, torch.zeros_like(drawn.kl))
    assert family.latent_shape == (2 * 2 * 4 * 4 + 2 * 2 * 8 * 8,)


def test_numbers_of_a_ladder_stay_in_bounds_and_relative_ones_add():
    network = ladder((1, 1))
    for parameter in network.parameters():
        parameter.data.mul_(40)
    image = observed(model())["image"]
    noise = torch.zeros(4, sum(Hierarchy(network).sizes))
    assert Hierarchy(network, 2.0).descend(noise, image).kl.isfinite().all()
    law = Hierarchy(network, 2.0)._law(torch.tensor([[1e3, -1e3, 1e3, -1e3]]))
    torch.testing.assert_close(law.mean, torch.tensor([[2.0, -2.0]]))
    torch.testing.assert_close(law.log_variance, torch.tensor([[4.0, -4.0]]), rtol=2e-2, atol=0)
    prior = DiagonalGaussian(torch.tensor([[1.0]]), torch.tensor([[-1.0]]))
    told = Hierarchy(network, None)._posterior(1, torch.tensor([[0.5, 0.25]]), prior)
    assert (float(told.mean), float(told.log_variance)) == (1.5, -0.75)
    alone = Hierarchy(network, None, relative=False)._posterior(1, torch.tensor([[0.5, 0.25]]), prior)
    assert (float(alone.mean), float(alone.log_variance)) == (0.5, 0.25)


def test_groups_begin_at_their_priors_whatever_their_number():
    torch.manual_seed(0)
    family = HierarchicalVAE(Ladder(1, 8, [4, 16, 20], latents=1, width=8), Gaussian(0.5), SGD)
    batch = observed(family)
    assert family.code_lengths(batch)[1].shape == (4, 40)
    assert torch.equal(family.code_lengths(batch)[1], torch.zeros(4, 40))
    loss = -family.log_prob(batch).mean()
    loss.backward()
    norms = [p.grad.norm() for name, p in family.named_parameters() if name.startswith("ladder.groups")]
    assert all(norm.isfinite() for norm in norms)


def test_balanced_groups_are_weighed_by_their_nats_a_unit_while_beta_is_below_1():
    factors = balance(torch.tensor([1.0, 8.0]), [4, 8])
    torch.testing.assert_close(factors, torch.tensor([0.4, 1.6]))
    family = model(balanced=True)
    batch = observed(family)
    distortion, kl = family.code_lengths(batch)
    weighed = distortion + 0.5 * kl @ balance(kl.mean(0), family.hierarchy.sizes)
    torch.testing.assert_close(family._loss(batch, 0.5)["loss"], weighed.mean())
    torch.testing.assert_close(family._loss(batch, 1.0)["loss"], (distortion + kl.sum(1)).mean())
    with pytest.raises(ValueError, match=r"accumulate must be 1 with model.balanced=true \(whole batches\), got 2"):
        model(balanced=True).arrange(accumulate=2)


def test_the_penalty_is_the_sum_of_the_largest_singular_values_with_its_gradient():
    network = ladder((1,))
    penalty = SpectralPenalty(network)
    for _ in range(300):
        penalty.turn()
    weights = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    expected = sum(torch.linalg.matrix_norm(weight.flatten(1), 2) for weight in weights)
    torch.testing.assert_close(penalty(), expected, rtol=1e-3, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = penalty()
    assert torch.equal(mixed, penalty())
    found, wanted = (torch.autograd.grad(each, weights[0])[0] for each in (penalty(), expected))
    torch.testing.assert_close(found, wanted, rtol=2e-2, atol=2e-3)
    family = model(network=network, spectral=0.5)
    torch.manual_seed(0)
    fit(family, digits_like(2, 8))
    terms = family.terms.flush()
    assert terms["train/loss"] == pytest.approx(-terms["train/elbo"] + 0.5 * terms["train/spectral"], rel=1e-5)
    assert {"penalty.u0", "penalty.v0"} <= set(family.state_dict())


def test_a_step_in_parts_is_the_step_of_the_whole_batch():
    start, ends = model().state_dict(), []
    for parts in (1, 4):
        family = model(spectral=0.1).arrange(accumulate=parts)
        ends.append(fit(family, digits_like(3, 8)).state_dict())
    for key, value in ends[0].items():
        torch.testing.assert_close(ends[1][key], value, atol=1e-5, rtol=1e-4)
    assert not torch.equal(ends[0]["ladder.top"], start["ladder.top"])


def test_a_binary_likelihood_has_bits_and_what_means_nothing_is_refused():
    family = model(reconstruction=Bernoulli("threshold"))
    terms = family.validate_batch({"image": digits_like(1, 4)[0]["image"]})
    bits = -terms["val/elbo"] / (64 * math.log(2))
    torch.testing.assert_close(terms["val/bits_per_dim"], bits)
    assert family.observe({"image": torch.ones(2, 1, 8, 8)}, BatchNoise(torch.ones(2)))["noise"].shape == (2, 288)
    for settings, rule in (
        ({"groups": []}, r"groups must be one number a resolution, each at least 1, got \[\]"),
        ({"groups": [1, 0]}, r"groups must be one number a resolution, each at least 1, got \[1, 0\]"),
        ({"groups": [1] * 5}, r"groups must be at most 4 resolutions for a side of 8, got \[1, 1, 1, 1, 1\]"),
        ({"groups": [1], "halvings": 4}, "halvings must halve an image of 8 pixels exactly, got 4"),
        ({"groups": [1], "width": 6}, "width must be a multiple of 4, got 6"),
        ({"groups": [1], "latents": 0}, "latents must be at least 1, got 0"),
        ({"groups": [1], "cell": "dense"}, "cell must be one of bottleneck, depthwise, got 'dense'"),
    ):
        with pytest.raises(ValueError, match=rule):
            Ladder(1, 8, **settings)
    with pytest.raises(ValueError, match="soft_clamp must be above 0, or null for no bounds, got 0"):
        model(soft_clamp=0)
    with pytest.raises(ValueError, match="spectral must not be negative, got -1"):
        model(spectral=-1)
    with pytest.raises(TypeError, match="ladder must be the network of a hierarchy, got Linear"):
        HierarchicalVAE(nn.Linear(1, 1), Gaussian(0.5), SGD, Constant())


class Kept(lightning.Callback):
    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, model):
        torch.save(model.state_dict(), self.folder / f"{trainer.world_size}_{trainer.global_rank}.pt")


class Shared(HierarchicalVAE):
    """A rank has its rows of every batch and of all that is drawn for it."""

    def train_batch(self, batch):
        rows = {name: each.chunk(self.trainer.world_size)[self.global_rank] for name, each in batch.items()}
        torch.manual_seed(self.batches)
        self.drawn = torch.randn(len(batch["image"]), *self.latent_shape).chunk(self.trainer.world_size)
        return super().train_batch(rows)

    def observe(self, batch, noise):
        return {**batch, "noise": self.drawn[self.global_rank]}


@pytest.mark.slow
@pytest.mark.xdist_group("distributed")
def test_two_processes_equal_one_at_double_batch(tmp_path):
    def shared():
        return Shared(ladder(), Gaussian(0.5), SGD, beta=Constant(0.5), balanced=True, spectral=0.1)

    batches = digits_like(3, 8)
    fit(shared(), batches, callbacks=[Kept(tmp_path)])
    two = {"devices": 2, "strategy": "ddp_fork_find_unused_parameters_true", "use_distributed_sampler": False}
    fit(shared(), batches, callbacks=[Kept(tmp_path)], **two)
    one, first, second = (torch.load(tmp_path / f"{which}.pt", weights_only=True) for which in ("1_0", "2_0", "2_1"))
    for key, value in one.items():
        torch.testing.assert_close(first[key], value, atol=1e-5, rtol=1e-4)
        assert torch.equal(first[key], second[key]), key
    assert not torch.equal(one["ladder.top"], shared().state_dict()["ladder.top"])
