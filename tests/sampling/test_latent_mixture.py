"""Latents from a density that is fitted to encoded training images."""

import json

import pytest
import torch

import tiny
from genexp.commands.sample import sample
from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.config.compose import compose
from genexp.contracts import FittedSampler, LatentEncoder, Sampler
from genexp.evaluation.protocol import describe
from genexp.families.vae import VAE
from genexp.inference.drawing import require_drawable
from genexp.inference.run import load_run
from genexp.losses.reconstruction import Bernoulli
from genexp.networks.autoencoder import MLPDecoder, MLPEncoder
from genexp.runs.run_folder import RunFolder
from genexp.sampling.draw import draw
from genexp.sampling.latent import Latent
from genexp.sampling.latent_mixture import LatentMixture, fit_to_training_images
from genexp.tensors import IndexedNoise


class Identity:
    """Encodes and decodes by doing nothing; remembers the noise it was given."""

    latent_shape, conditioning = (3,), Conditioning()

    def __init__(self):
        self.given = []

    def decode(self, latent, condition=UNCONDITIONAL):
        return latent + condition["label"][:, None] if condition else latent

    def encode(self, image, condition=UNCONDITIONAL):
        return image

    def latents(self, batch, noise):
        self.given.append(noise.normal(1))
        return batch["image"]


class OnlyDecoder:
    latent_shape, conditioning = (3,), Conditioning()

    def decode(self, latent, condition=UNCONDITIONAL):
        return latent


def batches(points, size):
    return [{"image": part} for part in points.split(size)]


def normal_points(count, mean, factor, seed=0):
    draw = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return draw @ torch.tensor(factor).T + torch.tensor(mean)


SKEWED = normal_points(400, [1.0, -2.0, 0.5], [[1.0, 0.0, 0.0], [0.8, 0.3, 0.0], [-0.5, 0.2, 0.1]])
CLUSTERS = torch.cat(
    [
        normal_points(300, [4.0, 0.0, 0.0], [[0.2, 0.0, 0.0], [0.1, 0.1, 0.0], [0.0, 0.0, 0.3]]),
        normal_points(100, [-4.0, 2.0, 0.0], [[0.5, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.2, 0.1]], seed=1),
    ]
)


def drawn(sampler, model, indices, seed=0):
    return draw(model, sampler, list(indices), seed)["image"]


def covariance(points):
    return torch.cov(points.double().T, correction=0)


def test_one_component_reproduces_mean_and_covariance_of_the_latents():
    sampler, model = LatentMixture(components=1, regularisation=0.0), Identity()
    sampler.fit(model, batches(SKEWED, 64))
    images = drawn(sampler, model, range(20_000))
    error = covariance(SKEWED).diagonal().sqrt() / 20_000**0.5
    assert ((images.double().mean(0) - SKEWED.double().mean(0)).abs() < 4 * error).all()
    torch.testing.assert_close(covariance(images), covariance(SKEWED), atol=0.03, rtol=0.03)


def test_the_gaussian_colours_the_very_noise_of_the_prior():
    sampler, model = LatentMixture(components=1, regularisation=0.0), Identity()
    sampler.fit(model, batches(SKEWED, 400))
    prior = drawn(Latent(), model, range(50)).double()
    factor = torch.linalg.cholesky(covariance(SKEWED))
    expected = SKEWED.double().mean(0) + prior @ factor.T
    torch.testing.assert_close(drawn(sampler, model, range(50)).double(), expected, atol=1e-5, rtol=1e-5)


def test_a_mixture_of_two_clusters_is_recovered():
    sampler, model = LatentMixture(components=2), Identity()
    sampler.fit(model, batches(CLUSTERS, 100))
    images = drawn(sampler, model, range(8000))
    right = images[:, 0] > 0
    assert right.double().mean().item() == pytest.approx(0.75, abs=0.02)
    for found, real in ((images[right], CLUSTERS[:300]), (images[~right], CLUSTERS[300:])):
        torch.testing.assert_close(found.mean(0), real.mean(0), atol=0.05, rtol=0)
        torch.testing.assert_close(covariance(found), covariance(real), atol=0.02, rtol=0.05)
    gap = (images[:, 0].abs() < 1.5).double().mean().item()
    assert gap < 0.001  # the single Gaussian would fill it


def test_image_i_depends_on_the_seed_and_on_i_alone():
    sampler, model = LatentMixture(components=2), Identity()
    sampler.fit(model, batches(CLUSTERS, 100))
    together = drawn(sampler, model, range(40))
    apart = torch.cat([drawn(sampler, model, indices) for indices in (range(7), range(7, 8), range(8, 40))])
    assert torch.equal(together, apart)
    assert not torch.equal(together, drawn(sampler, model, range(40), seed=1))


def test_the_fit_does_not_depend_on_the_cut_into_batches_and_replaces_the_one_before():
    found = []
    for size in (400, 33):
        sampler, model = LatentMixture(components=3, seed=5), Identity()
        sampler.fit(model, batches(SKEWED, size))
        sampler.fit(model, batches(CLUSTERS, size))
        found.append((drawn(sampler, model, range(20)), torch.cat(model.given)))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][1][:5], IndexedNoise(5, range(5)).normal(1))  # not the noise that images come from


def test_the_protocol_names_kind_and_components():
    assert describe(LatentMixture(7, seed=2)) == "LatentMixture(components=7, regularisation=1e-06, seed=2)"
    assert isinstance(LatentMixture(), FittedSampler)
    samplers: list[Sampler] = [LatentMixture()]
    assert callable(samplers[0].start)


def test_what_cannot_be_fitted_is_refused():
    sampler = LatentMixture(components=5)
    with pytest.raises(TypeError, match="LatentMixture needs a model that encodes images, got OnlyDecoder"):
        sampler.fit(OnlyDecoder(), batches(SKEWED, 10))
    with pytest.raises(TypeError, match="needs a model that encodes images, got OnlyDecoder"):
        sampler.start(OnlyDecoder(), IndexedNoise(0, [0]))
    with pytest.raises(RuntimeError, match="must be fitted to training images before it draws"):
        sampler.start(Identity(), IndexedNoise(0, [0]))
    with pytest.raises(ValueError, match="components must be at most the 4 training images, got 5"):
        sampler.fit(Identity(), batches(SKEWED[:4], 4))
    with pytest.raises(ValueError, match="latents of the training images must be finite"):
        sampler.fit(Identity(), batches(torch.full((9, 3), torch.nan), 9))
    with pytest.raises(ValueError, match="components must be at least 1, got 0"):
        LatentMixture(0)
    with pytest.raises(ValueError, match=r"regularisation must not be negative, got -1"):
        LatentMixture(regularisation=-1)


def vae(likelihood):
    sizes = {"shape": (1, 8, 8), "latent_size": 3, "width": 16, "num_classes": None}
    return VAE(MLPEncoder(**sizes), MLPDecoder(**sizes), likelihood, 3, torch.optim.SGD).eval()


@torch.no_grad()
def test_latents_of_a_vae_are_posterior_draws_of_what_the_likelihood_observes():
    torch.manual_seed(0)
    model = vae(Bernoulli("threshold"))
    batch = {"image": torch.rand(6, 1, 8, 8) * 2 - 1}
    noise = IndexedNoise(0, range(6))
    noise.normal(1, 8, 8)
    posterior = model.posterior((batch["image"] > 0).float() * 2 - 1)
    expected = posterior.rsample(noise.normal(3))
    torch.testing.assert_close(model.latents(batch, IndexedNoise(0, range(6))), expected)
    assert isinstance(model, LatentEncoder)


def test_only_samplers_that_learn_look_at_the_training_images():
    class Data:
        def training_images(self):
            return iter(batches(SKEWED, 100))

    sampler = LatentMixture(components=1)
    fit_to_training_images(sampler, Identity(), Data(), "cpu")
    assert drawn(sampler, Identity(), range(3)).shape == (3, 3)
    fit_to_training_images(Latent(), OnlyDecoder(), object(), "cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> RunFolder:
    outputs = tmp_path_factory.mktemp("runs")
    length = ["training.max_images=64", "training.evaluate_every=64", "sampler=latent_mixture", "sampler.components=2"]
    return tiny.run([*tiny.overrides_for("vae"), *length, f"paths.outputs={outputs}"])


def test_training_samples_and_evaluation_draw_from_the_fitted_density(trained, tmp_path):
    from genexp.commands.evaluate import evaluate

    (value,) = [
        row["fd/digits_classifier@42f2cb7d"]
        for row in trained.history()
        if "val/elbo" not in row and "fd/digits_classifier@42f2cb7d" in row
    ]
    evaluate(compose("evaluate", [f"run={trained.path}", f"out={tmp_path}", "num=8", "wandb=false", "pictures=0"]))
    found = json.loads((tmp_path / "averaged" / "metrics.json").read_text())["values"]["fd/digits_classifier@42f2cb7d"]
    assert found["value"] == pytest.approx(value, rel=1e-5)
    assert found["protocol"]["sampler"] == "LatentMixture(components=2, regularisation=1e-06, seed=0)"


def test_sample_draws_the_same_image_for_every_batch_size(trained, tmp_path):
    found = []
    for size in (2, 5):
        out = tmp_path / str(size)
        sample(compose("sample", [f"run={trained.path}", f"out={out}", "num=5", f"batch_size={size}", "interpolate=3"]))
        found.append([(out / "images" / f"{i:06d}.png").read_bytes() for i in range(5)])
        assert (out / "interpolation.png").is_file()
    assert found[0] == found[1]


def test_a_model_without_an_encoder_is_refused_before_anything_is_drawn(tmp_path):
    length = ["training.max_images=32", "training.evaluate_every=64", "metrics=none", f"paths.outputs={tmp_path}"]
    gan = load_run(tiny.run([*tiny.overrides_for("gan"), *length]).path)
    sampler = compose("sample", [f"run={tmp_path}", "sampler=latent_gaussian"]).sampler
    with pytest.raises(ValueError, match="needs a model that encodes images, got GAN"):
        require_drawable(gan.model, sampler)


def test_the_training_images_are_those_within_the_limit():
    from genexp.config.instantiate import build

    data = build(compose("train", ["experiment=vae/digits", "data.limit=100", "data.eval_batch_size=64"]).data)
    rows = torch.cat([batch["index"] for batch in data.training_images()])
    assert rows.tolist() == list(range(100))
    whole = build(compose("train", ["experiment=vae/digits"]).data)
    assert sum(len(batch["image"]) for batch in whole.training_images()) == whole.split_size("train")
