"""Every option of the variational autoencoder does what it says, in training, on held-out data, and in use."""

import math
from functools import partial

import pytest
import torch
from lightning import Callback, Trainer
from torch import nn
from torch.utils.data import DataLoader

from genexp.conditioning.base import UNCONDITIONAL
from genexp.contracts import LatentDecoder
from genexp.families.vae import VAE
from genexp.latents.capacity import Capacity
from genexp.latents.choices import Categorical, UniformChoices
from genexp.latents.factors import FactorDiscriminator
from genexp.latents.flowed import Planar
from genexp.latents.full_covariance import FullCovariance
from genexp.latents.gaussian import DiagonalGaussian
from genexp.latents.importance import ImportanceWeighted
from genexp.latents.learned_priors import GaussianMixture, VampPrior
from genexp.latents.posteriors import Deterministic, Diagonal
from genexp.latents.priors import StandardNormal
from genexp.latents.regularised import Regularised
from genexp.latents.showing import TRAVERSAL
from genexp.losses.pixel_distributions import DiscretisedLogistic
from genexp.losses.reconstruction import Bernoulli, ContinuousBernoulli, Gaussian
from genexp.networks.autoencoder import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from genexp.networks.latent_discriminator import LatentDiscriminator
from genexp.ramps import Constant, Linear
from genexp.tensors import IndexedNoise

LATENT = 3
SGD = partial(torch.optim.SGD, lr=1e-3)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def small(likelihood=None, num_classes=None, optimizer=SGD, **options):
    torch.manual_seed(0)
    sizes = {"shape": (1, 8, 8), "latent_size": LATENT, "width": 16, "num_classes": num_classes}
    networks = {"encoder": MLPEncoder(**sizes), "decoder": MLPDecoder(**sizes)}
    arguments = {"reconstruction": likelihood or Gaussian(0.5), "latent_size": LATENT, "num_classes": num_classes}
    return VAE(**networks | arguments | {"optimizer": optimizer} | options)


def batches(count, size=8):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, size, 1, 8, 8, generator=generator) * 2 - 1
    return [{"image": image, "label": torch.arange(size) % 10} for image in images]


class Recorder(Callback):
    """Keeps the logged terms of every batch and the held-out means."""

    def __init__(self):
        self.train, self.validation = [], []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.train.append(pl_module.terms.flush())

    def on_validation_epoch_end(self, trainer, pl_module):
        self.validation.append(pl_module.validation_means())


def fit(model, data, validation=None):
    recorder = Recorder()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "num_sanity_val_steps": 0}
    trainer = Trainer(accelerator="cpu", max_epochs=1, callbacks=[recorder], **quiet)
    loaders = [None if batches is None else DataLoader(batches, batch_size=None) for batches in (data, validation)]
    trainer.fit(model, *loaders)
    return recorder


# Training


def test_named_terms_of_a_batch():
    (terms,) = fit(small(Gaussian(0.5, learned=True), beta=Constant(2.0)), batches(1)).train
    names = ["loss", "reconstruction", "kl", "beta", "elbo", "std"]
    assert set(terms) == {f"train/{name}" for name in names}
    assert terms["train/loss"] == pytest.approx(terms["train/reconstruction"] + 2 * terms["train/kl"], rel=1e-5)
    assert terms["train/elbo"] == pytest.approx(-terms["train/reconstruction"] - terms["train/kl"], rel=1e-5)
    assert terms["train/std"] == pytest.approx(0.5)


def test_warm_up_follows_the_images_seen():
    recorder = fit(small(beta=Linear(0.0, 1.0, images=32)), batches(6, size=8))
    assert [terms["train/beta"] for terms in recorder.train] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


LIKELIHOODS = (lambda: Bernoulli("dynamic"), lambda: Gaussian(0.5, learned=True), lambda: DiscretisedLogistic(17))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_accumulation_changes_nothing(likelihood):
    models = [small(likelihood(), free_bits=0.1, clip=5.0).arrange(parts) for parts in (1, 4)]
    recorders = [fit(model, batches(3)) for model in models]
    for whole, parts in zip(models[0].parameters(), models[1].parameters()):
        torch.testing.assert_close(whole, parts, atol=1e-6, rtol=1e-5)
    assert recorders[0].train[-1] == pytest.approx(recorders[1].train[-1], rel=1e-5)


BOUNDS = {
    "iwae": lambda: ImportanceWeighted(3),
    "dreg": lambda: ImportanceWeighted(3, "doubly_reparameterised"),
    "capacity": lambda: Capacity(Linear(0.0, 2.0, 16), gamma=2.0),
    "gradient": lambda: Regularised("gradient"),
    "weights": lambda: Regularised("weights"),
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_accumulation_changes_nothing_whatever_the_bound(bound):
    one = {"posterior": Deterministic(LATENT)} if bound in ("gradient", "weights") else {}
    models = [small(bound=BOUNDS[bound](), clip=5.0, **one).arrange(parts) for parts in (1, 4)]
    recorders = [fit(model, batches(3)) for model in models]
    for whole, parts in zip(models[0].parameters(), models[1].parameters()):
        torch.testing.assert_close(whole, parts, atol=1e-6, rtol=1e-5)
    assert recorders[0].train[-1] == pytest.approx(recorders[1].train[-1], rel=1e-5)


PARTS = {
    "full_covariance": lambda: {"posterior": FullCovariance(LATENT)},
    "planar": lambda: {"posterior": Planar(LATENT)},
    "choices": lambda: {"posterior": Categorical(LATENT, 3), "prior": UniformChoices(LATENT, 3)},
    "mixture": lambda: {"prior": GaussianMixture(LATENT, 4)},
    "vamp": lambda: {"prior": VampPrior(LATENT, (1, 8, 8), 4), "bound": ImportanceWeighted(3)},
}


@pytest.mark.parametrize("parts", PARTS)
def test_accumulation_changes_nothing_whatever_the_distributions(parts):
    models = []
    for count in (1, 2):
        torch.manual_seed(0)
        models.append(small(**PARTS[parts]()).arrange(count))
    recorders = [fit(model, batches(2), batches(1)) for model in models]
    for whole, cut in zip(models[0].parameters(), models[1].parameters()):
        torch.testing.assert_close(whole, cut, atol=1e-6, rtol=1e-5)
    assert recorders[0].train[-1] == pytest.approx(recorders[1].train[-1], rel=1e-5)
    assert math.isfinite(recorders[0].validation[0]["val/elbo"])
    images = models[0].decode(models[0].prior_latents(IndexedNoise(0, range(3))))
    assert images.shape == (3, 1, 8, 8)
    grids = models[0].extra_grids(batches(1)[0], IndexedNoise(0, range(8)))
    assert ("traversal" in grids) == (parts != "choices")


def test_an_opponent_has_steps_of_its_own_that_leave_the_autoencoder_alone():
    bound = FactorDiscriminator(LatentDiscriminator(LATENT, 8, 1), SGD, weight=3.0)
    model = small(bound=bound, optimizer=partial(torch.optim.SGD, lr=0.0))
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    (terms, _) = fit(model, batches(2)).train
    assert {"train/tc", "train/opponent/loss", "train/opponent/right"} <= set(terms)
    assert model.steps == {"autoencoder": 2, "opponent": 2}
    moved = {name for name, weight in model.named_parameters() if not weight.equal(before[name])}
    assert moved == {name for name in before if name.startswith("bound.")}
    assert model.averaged_modules == ("encoder", "decoder")
    with pytest.raises(ValueError, match="discriminator must have latent_size 3 as the model, got 4"):
        small(bound=FactorDiscriminator(LatentDiscriminator(4), SGD))


def test_the_first_step_moves_every_parameter_of_all_three_parts():
    model = small(Gaussian(0.5, learned=True), optimizer=torch.optim.Adam)
    before = [p.detach().clone() for p in model.parameters()]
    fit(model, batches(1))
    assert all(not old.equal(new) for old, new in zip(before, model.parameters()))
    assert model.steps == {"autoencoder": 1}
    assert model.images_seen == 8


def test_training_raises_the_bound():
    # The same batch again and again, drawn as a smooth pattern that a few latents can describe.
    angle = torch.rand(32, 1, 1, 1) * 6.28
    image = torch.sin(angle + torch.arange(64).reshape(1, 1, 8, 8) / 5)
    model = small(Gaussian(0.3), optimizer=partial(torch.optim.Adam, lr=5e-3))
    terms = fit(model, [{"image": image}] * 200).train
    assert terms[-1]["train/elbo"] > terms[0]["train/elbo"] + 50
    assert terms[-1]["train/kl"] > 1


def test_free_bits_leave_small_divergences_alone():
    model = small(free_bits=100.0, beta=Constant(0.5))
    part = {"image": torch.zeros(4, 1, 8, 8), "noise": torch.randn(4, LATENT)}
    terms = model._loss(part, 0.5)
    assert terms["loss"].item() == pytest.approx(terms["reconstruction"].item() + 0.5 * 100 * LATENT, rel=1e-6)
    assert terms["kl"].item() < 100
    reported = small(beta=Constant(0.5))._loss(part, 0.5)
    torch.testing.assert_close(terms["elbo"], reported["elbo"])


def test_free_bits_over_the_batch_are_the_published_formula_with_its_gradients():
    """sum_j max(free_bits, mean_i KL_ij) of Kingma et al. (2016): one image may lie below while others lie above."""
    model = small(free_bits=0.5, free_bits_over="batch")
    mean = torch.tensor([[0.0] * LATENT, [3.0] + [0.1] * (LATENT - 1)], requires_grad=True)
    kl = DiagonalGaussian(mean, torch.zeros(2, LATENT)).kl_per_unit()
    expected = kl.mean(0).clamp(min=0.5).sum()
    found = model.bound.beyond_free_bits(kl).mean()
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(each, mean, retain_graph=True)[0] for each in (found, expected)]
    torch.testing.assert_close(*gradients)
    by_image = small(free_bits=0.5).bound.beyond_free_bits(kl)
    torch.testing.assert_close(by_image, kl.clamp(min=0.5).sum(1))
    assert by_image.mean() > found


def test_free_bits_over_the_batch_know_no_parts_of_a_batch():
    with pytest.raises(ValueError, match=r"accumulate must be 1 with model\.free_bits_over=batch .*, got 4"):
        small(free_bits=0.1, free_bits_over="batch").arrange(4)
    with pytest.raises(ValueError, match="free_bits_over must be image or batch, got 'sample'"):
        small(free_bits=0.1, free_bits_over="sample")


def test_a_label_free_batch_trains_an_unconditional_model_only():
    data = [{"image": torch.zeros(4, 1, 8, 8)}]
    assert len(fit(small(), data).train) == 1
    with pytest.raises(ValueError, match="batch must have label for a model of"):
        fit(small(num_classes=10), data)


def test_grey_images_stop_a_bernoulli_before_the_first_step():
    model = small(Bernoulli())
    with pytest.raises(ValueError, match="image must be binary"):
        fit(model, batches(1))
    assert model.images_seen == 0


# Validation


def test_held_out_terms_ignore_beta_and_repeat():
    data, held_out = batches(1), batches(3, size=5)
    plain, weighted = (
        fit(small(beta=Constant(b), optimizer=partial(torch.optim.SGD, lr=0.0)), data, held_out) for b in (1.0, 9.0)
    )
    assert plain.validation == weighted.validation
    (means,) = plain.validation
    assert set(means) == {"val/elbo", "val/reconstruction", "val/kl", "val/active_units"}
    assert means["val/elbo"] == pytest.approx(-means["val/reconstruction"] - means["val/kl"], rel=1e-6)


def test_bits_per_dim_are_reported_for_discrete_data_only():
    (means,) = fit(small(Bernoulli("dynamic")), batches(1), batches(2)).validation
    assert means["val/bits_per_dim"] == pytest.approx(-means["val/elbo"] / (64 * math.log(2)), rel=1e-6)
    assert "val/bits_per_dim" not in fit(small(ContinuousBernoulli()), batches(1), batches(2)).validation[0]


def test_active_units_are_counted_over_the_whole_held_out_set():
    class Positions(nn.Module):
        """Means: the pixel (constant in a batch, varying between batches), a tenth of that, and nothing."""

        def forward(self, image, condition=UNCONDITIONAL):
            first = image[:, 0, 0, :1]
            return torch.cat([first, first * 0.01, 0 * first, torch.zeros(len(image), LATENT)], dim=1)

    model = small(encoder=Positions())
    held_out = [{"image": torch.full((4, 1, 8, 8), value)} for value in (-1.0, 0.0, 1.0)]
    (means,) = fit(model, batches(1), held_out).validation
    assert means["val/active_units"] == 1.0
    assert model._activity.moments is None


# Use


def test_the_family_is_a_latent_decoder_with_images_in_range():
    model = small().eval()
    nn.init.constant_(model.decoder.head.bias, 7.0)
    assert isinstance(model.source(), LatentDecoder)
    assert model.latent_shape == (LATENT,)
    images = model.decode(torch.randn(4, LATENT))
    assert images.shape == (4, 1, 8, 8)
    assert images.max() == 1.0


def test_encode_returns_posterior_means_and_reconstruct_decodes_them():
    model, image = small().eval(), batches(1)[0]["image"]
    assert model.encode(image).equal(model.posterior(image).mean)
    assert model.reconstruct({"image": image}).equal(model.decode(model.encode(image)))


def test_a_traversal_moves_one_unit():
    model = small().eval()
    start = torch.randn(LATENT)
    images = model.traversal(start, unit=1, values=[-2.0, float(start[1]), 2.0])
    assert images.shape == (3, 1, 8, 8)
    torch.testing.assert_close(images[1], model.decode(start[None])[0])
    moved = start.clone()
    moved[1] = 2.0
    torch.testing.assert_close(images[2], model.decode(moved[None])[0])
    with pytest.raises(ValueError, match=r"unit must lie in \[0, 3\), got 3"):
        model.traversal(start, 3, [0.0])


@pytest.mark.parametrize(("count", "columns"), [(23, 10), (4, 4)])
def test_grids_alternate_originals_and_reconstructions(count, columns):
    model = small(num_classes=10).eval()
    (batch,) = batches(1, size=count)
    grids = model.extra_grids(batch, IndexedNoise(0, range(count)))
    images, width = grids["reconstruction"].samples, grids["reconstruction"].columns
    assert grids["reconstruction"].down == ("data", "decoded") * (count // columns)
    shown = count // columns * columns
    assert (width, len(images)) == (columns, 2 * shown)
    rows = images.unflatten(0, (-1, 2, columns)).detach()
    assert rows[:, 0].flatten(0, 1).equal(batch["image"][:shown])
    torch.testing.assert_close(rows[:, 1].flatten(0, 1), model.reconstruct(batch)[:shown])
    traversal = grids["traversal"]
    assert (len(traversal.across), len(traversal.down)) == (len(TRAVERSAL), LATENT)
    assert (traversal.columns, len(traversal.samples)) == (len(TRAVERSAL), LATENT * len(TRAVERSAL))


def test_grids_show_binarised_originals_that_depend_on_the_noise_alone():
    model = small(Bernoulli("dynamic")).eval()
    (batch,) = batches(1, size=4)
    first, again, other = (
        model.extra_grids(batch, IndexedNoise(s, range(4)))["reconstruction"].samples for s in (0, 0, 1)
    )
    assert set(first[:4].unique().tolist()) == {-1.0, 1.0}
    assert first.equal(again)
    assert not first[:4].equal(other[:4])


def test_points_have_no_pictures():
    networks = MLPEncoder((2,), LATENT), MLPDecoder((2,), LATENT)
    model = VAE(*networks, Gaussian(0.1), LATENT, SGD)
    batch = {"image": torch.randn(4, 2)}
    assert len(fit(model, [batch]).train) == 1
    assert model.extra_grids(batch, IndexedNoise(0, range(4))) == {}


def test_convolutional_parts_make_a_conditional_model():
    sizes = {"channels": 1, "image_size": 8, "latent_size": LATENT, "width": 8, "num_classes": 10}
    model = VAE(ConvEncoder(**sizes), ConvDecoder(**sizes), ContinuousBernoulli(), LATENT, SGD, num_classes=10)
    fit(model, batches(1))
    latent = torch.zeros(2, LATENT)
    first, second = model.decode(latent, {"label": torch.tensor([3, 7])})
    assert not first.equal(second)


def test_averaged_modules_hold_all_learned_weights_and_nothing_else():
    for model in (small(), small(Gaussian(0.5, learned=True)), small(Bernoulli())):
        averaged = {id(p) for name in model.averaged_modules for p in model.get_submodule(name).parameters()}
        assert averaged == {id(p) for p in model.parameters()}
        assert all(any(True for _ in model.get_submodule(name).parameters()) for name in model.averaged_modules)


def test_parts_without_weights_leave_the_names_of_earlier_checkpoints():
    model = small(Gaussian(0.5, learned=True))
    assert {name.split(".")[0] for name in model.state_dict()} == {"encoder", "decoder", "reconstruction"}


def test_parts_must_be_of_one_latent():
    with pytest.raises(ValueError, match="posterior must have latent_size 3 as the model, got 5"):
        small(posterior=Diagonal(5))
    with pytest.raises(ValueError, match="prior must have latent_size 3 as the model, got 5"):
        small(prior=StandardNormal(5))


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="latent_size must be at least 1, got 0"):
        small(latent_size=0)
    with pytest.raises(ValueError, match=r"free_bits must not be negative, got -0\.1"):
        small(free_bits=-0.1)

    class Six(nn.Module):
        def forward(self, image, condition=UNCONDITIONAL):
            return image.flatten(1)[:, :6]

    with pytest.raises(
        ValueError, match=r"encoder must return 2 \* latent_size = 10 values an image, got shape \(6,\)"
    ):
        small(encoder=Six(), latent_size=5).encode(torch.zeros(1, 1, 8, 8))
