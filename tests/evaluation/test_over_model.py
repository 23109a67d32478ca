"""Metrics of a model: values against closed forms, protocols that keep apart what differs, whatever the batches."""

import math

import pytest
import torch

from genexp.densities.autoregressive import AutoregressiveCategorical
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.autoencoding import Autoencoding
from genexp.evaluation.metrics.bound import BoundTerms
from genexp.evaluation.metrics.likelihood import LogLikelihood
from genexp.evaluation.over_model import scores_of_model
from genexp.evaluation.protocol import DifferentProtocols, require_same
from genexp.evaluation.worth import worth
from genexp.families.vae import VAE
from genexp.losses.reconstruction import Bernoulli, Gaussian
from genexp.networks.autoencoder import MLPDecoder, MLPEncoder
from genexp.networks.pixelcnn import PixelCNN
from genexp.tensors import from_levels

SHAPE = (1, 4, 4)
IMAGES = torch.rand(60, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def images(size=25, labelled=False):
    def batches():
        for part, label in zip(IMAGES.split(size), (torch.arange(len(IMAGES)) % 3).split(size), strict=True):
            yield {"image": part} | ({"label": label} if labelled else {})

    return lambda split: ImageSet(split, "d" * 64, len(IMAGES), SHAPE, batches, labelled)


def pixels(levels=5):
    torch.manual_seed(0)
    return AutoregressiveCategorical(PixelCNN(SHAPE, levels, width=4, depth=1), SHAPE, levels).eval()


def vae(likelihood):
    torch.manual_seed(0)
    sizes = {"shape": SHAPE, "latent_size": 2, "width": 8, "depth": 1}
    return VAE(MLPEncoder(**sizes), MLPDecoder(**sizes), likelihood, 2, torch.optim.SGD).eval()


def measured(model, metric=None, data=None, seed=0):
    scores = scores_of_model({"it": metric or LogLikelihood()}, model, data or images(), seed, "averaged")
    assert all(key == score.protocol.key == score.protocol.metric for key, score in scores.items())
    return scores


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_a_uniform_guess_among_l_levels_costs_log2_l_bits(levels):
    scores = measured(pixels(levels))
    assert scores["bits_per_dim"].value.value == pytest.approx(math.log2(levels), rel=1e-6)
    assert scores["nll"].value.value == pytest.approx(16 * math.log(levels), rel=1e-6)
    assert [score.value.unit for score in scores.values()] == ["nats", "bits"]
    assert [score.better for score in scores.values()] == ["lower", "lower"]


@pytest.mark.parametrize(("levels", "few"), [(256, True), (34, True), (33, False), (17, False)])
def test_data_that_keep_to_few_of_the_levels_are_told_in_the_protocol(levels, few):
    """As digits of 17 greys do: nats of 256 levels are not those of 17."""
    greys = from_levels(torch.arange(17).reshape(1, 1, 1, 17).expand(2, 1, 4, 17), 17)
    data = ImageSet("val", "d" * 64, 2, (1, 4, 17), lambda: iter([{"image": greys[:1]}, {"image": greys[1:]}]))
    model = AutoregressiveCategorical(PixelCNN((1, 4, 17), levels, width=2, depth=1), (1, 4, 17), levels).eval()
    protocols = [score.protocol.record() for score in measured(model, data=lambda _: data).values()]
    told = f"{levels} levels, exact" + (", of which the data have 17" if few else "")
    assert {each["settings"] for each in protocols} == {f"LogLikelihood(split='val'): {told}"}
    words = [text for name, text in worth(protocols) if name == "levels"]
    assert [f"of {told}: not to be set beside those of 17 levels" in text for text in words] == [True] * few


def test_the_value_is_the_mean_over_the_whole_split_whatever_the_batches():
    model = pixels()
    torch.nn.init.normal_(model.network.last.weight)
    expected = -model.log_prob(model.observe({"image": IMAGES}, None)).mean()
    for size in (7, 60):
        assert measured(model, data=images(size))["nll"].value.value == pytest.approx(float(expected), rel=1e-6)
    value = measured(model)["nll"].value
    assert len(value.draws) == 20
    assert sum(value.draws) / 20 == pytest.approx(value.value, rel=1e-9)


def test_what_a_bound_draws_depends_on_the_seed_and_the_image_alone():
    model = vae(Bernoulli("dynamic"))
    one, other, again = (measured(model, data=images(size), seed=s) for size, s in ((7, 0), (60, 0), (7, 1)))
    assert one["nll"].value.value == pytest.approx(other["nll"].value.value, rel=1e-5)
    assert one["nll"].value.value != again["nll"].value.value
    assert one["bits_per_dim"].protocol.settings == "LogLikelihood(split='val'): 2 levels, bound"


def test_a_density_over_real_values_has_nats_and_no_bits():
    scores = measured(vae(Gaussian(0.5)))
    assert list(scores) == ["nll"]
    with pytest.raises(DifferentProtocols, match=r"settings is LogLikelihood.*values in"):
        require_same({"a": scores["nll"].protocol, "b": measured(pixels())["nll"].protocol})


def test_images_of_classes_are_dealt_within_them():
    assert measured(pixels(), data=images(labelled=True))["nll"].protocol.dealing == "within 3 classes"
    assert measured(pixels())["nll"].protocol.dealing == "by index"


class Halved:
    def reconstruct(self, batch):
        return batch["image"] / 2


def test_autoencoding_is_the_squared_error_of_what_comes_back():
    scores = measured(Halved(), Autoencoding("test"))
    error = (IMAGES.double() / 2).square().flatten(1).mean(1)
    assert scores["autoencoding_mse"].value.value == pytest.approx(float(error.mean()), rel=1e-6)
    assert scores["autoencoding_psnr"].value.value == pytest.approx(float((10 * (4 / error).log10()).mean()), rel=1e-6)
    assert scores["autoencoding_mse"].protocol.reference == "test"
    assert "autoencoding_mse" in measured(vae(Gaussian(0.5)), Autoencoding())


def test_a_model_that_lacks_what_is_measured_and_a_wrong_split_are_refused():
    with pytest.raises(TypeError, match="LogLikelihood measures a Density, got Halved"):
        LogLikelihood().require(Halved())
    with pytest.raises(TypeError, match="Autoencoding measures a Reconstructor, got AutoregressiveCategorical"):
        Autoencoding().require(pixels())
    with pytest.raises(ValueError, match="split must be one of train, val, test, got 'all'"):
        LogLikelihood("all")


class Steps:
    """A model whose steps t = 1 .. 8 cost the square of t, and the start 3, in every one of 16 values."""

    levels = 4

    def observe(self, batch, noise):
        return batch

    def bound_terms(self, batch):
        costs = torch.tensor([1.0, 4, 9, 16, 25, 36, 49, 64, 3]) * 16 * math.log(2)
        return costs.expand(len(batch["image"]), -1)


def test_the_parts_of_a_bound_are_quarters_of_the_times_and_add_up_to_it():
    scores = measured(Steps(), BoundTerms())
    found = {name: score.value.value for name, score in scores.items()}
    expected = [207, 1, 4 + 9, 16 + 25, 36 + 49, 64, 3]
    assert list(found) == list(BoundTerms.values)
    assert list(found.values()) == pytest.approx(expected)
    assert found["bound"] == pytest.approx(sum(list(found.values())[1:]))
    assert {score.value.unit for score in scores.values()} == {"bits"}
    assert scores["bound"].protocol.settings == "BoundTerms(split='val'): 4 levels"
    with pytest.raises(TypeError, match="BoundTerms measures a BoundedDensity, got AutoregressiveCategorical"):
        measured(pixels(), BoundTerms())
