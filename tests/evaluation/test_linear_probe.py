"""What latents know of classes: against scikit-learn, whatever the batches, refused where there is nothing to ask."""

import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import one_hot

import tiny
from genexp.conditioning.base import Conditioning
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.linear_probe import LinearProbe
from genexp.evaluation.over_model import scores_of_model

COUNT, CLASSES = {"train": 300, "val": 120}, 4


def drawn(split):
    """Points about the centre of their class, and the class."""
    generator = torch.Generator().manual_seed(len(split))
    label = torch.randint(CLASSES, (COUNT[split],), generator=generator)
    centres = torch.randn(CLASSES, 5, generator=torch.Generator().manual_seed(0))
    return centres[label] + 0.8 * torch.randn(len(label), 5, generator=generator), label


def images(size=50):
    def opened(split):
        image, label = drawn(split)

        def batches():
            for part, of in zip(image.split(size), label.split(size), strict=True):
                yield {"image": part, "label": of}

        return ImageSet(split, split[0] * 64, COUNT[split], (5,), batches, labelled=True)

    return opened


class Encoder:
    """Latents of units of very different sizes; the last of them says nothing."""

    latent_shape = (3,)
    conditioning = Conditioning()

    def encode(self, image, condition=None):
        return torch.stack([100 * image[:, 0] + 7, image[:, 1] - image[:, 2], torch.zeros(len(image))], 1)

    def decode(self, latent, condition=None):
        return latent

    def latents(self, batch, noise):
        return self.encode(batch["image"])


def measured(size=50, **settings):
    scores = scores_of_model({"it": LinearProbe(**settings)}, Encoder(), images(size), 0, "raw")
    return {key: score for key, score in scores.items()}


def test_shares_are_those_of_ridge_regression_and_of_the_nearest_neighbour():
    (known, label), (asked, truth) = drawn("train"), drawn("val")
    known_pixels, asked_pixels = known.double(), asked.double()
    known, asked = Encoder().encode(known).double(), Encoder().encode(asked).double()
    scaler = StandardScaler().fit(known)
    ridge = Ridge(0.5 * len(known)).fit(scaler.transform(known), one_hot(label).double())
    neighbour = KNeighborsClassifier(1).fit(known, label)
    expected = {
        "linear_probe": (ridge.predict(scaler.transform(asked)).argmax(1) == truth.numpy()).mean(),
        "neighbour_probe": (neighbour.predict(asked) == truth.numpy()).mean(),
    }
    assert len(set(expected.values())) == 2
    for size in (50, 7):
        found = {key: score.value.value for key, score in measured(size, num=None, regularisation=0.5).items()}
        assert found == pytest.approx(expected)
    ridge.fit((pixels := StandardScaler().fit(known_pixels)).transform(known_pixels), one_hot(label).double())
    details = {
        "linear_probe": (ridge.predict(pixels.transform(asked_pixels)).argmax(1) == truth.numpy()).mean(),
        "neighbour_probe": (neighbour.fit(known_pixels, label).predict(asked_pixels) == truth.numpy()).mean(),
    }
    for key, score in measured(num=None, regularisation=0.5).items():
        assert score.value.details == {"pixels": pytest.approx(details[key])}
    score = measured(num=None)["linear_probe"]
    assert score.better == "higher"
    assert len(score.value.draws) == 20
    assert score.protocol.settings.endswith(f": latents of 3, from train {'t' * 64}")


def test_fewer_images_to_learn_from_are_drawn_by_class_and_told():
    settings = measured(num=40)["linear_probe"].protocol.settings
    assert "40 of 300 drawn at random by class" in settings
    assert measured(num=40)["linear_probe"].value.value == measured(7, num=40)["linear_probe"].value.value


def test_what_has_no_answer_is_refused():
    with pytest.raises(TypeError, match="LinearProbe measures a LatentEncoder, got object"):
        LinearProbe().require(object())
    told = Encoder()
    told.conditioning = Conditioning.of(3, None)
    with pytest.raises(TypeError, match="LinearProbe measures an encoder that is told nothing, got"):
        LinearProbe().require(told)
    with pytest.raises(ValueError, match="learn_from must be another split than the one that is asked for, got 'val'"):
        LinearProbe(learn_from="val")
    with pytest.raises(ValueError, match="num must be at least 2 images, got 1"):
        LinearProbe(num=1)
    with pytest.raises(ValueError, match="regularisation must be above 0, got 0"):
        LinearProbe(regularisation=0)
    with pytest.raises(ValueError, match="metrics must be without linear_probe on data without labels"):
        tiny.run([*tiny.overrides_for("vae"), "metrics=linear_probe", "data.num_classes=null"])


def test_a_bigan_is_trained_measured_and_used_like_any_autoencoder(tmp_path):
    small = ["experiment=bigbigan/digits", *tiny.COMMON, *tiny.LENGTH, "data.limit=100"]
    metrics = ["metrics=[linear_probe,autoencoding]", "training.monitor=linear_probe"]
    folder = tiny.run([*small, *metrics, f"paths.outputs={tmp_path}"])
    last = {key: value for row in folder.history() for key, value in row.items()}
    assert folder.best["metric"] == "linear_probe"
    assert last["linear_probe"] > 0.3
    assert last["neighbour_probe"] > 0.3
    assert 0 < last["autoencoding_mse"] < 4
    assert {path.stem.partition("_")[0] for path in (folder.path / "samples").glob("*.png")} >= {"reconstruction"}
    latent = ["experiment=latent/digits", f"model.codec.run={folder.path}", "model.network.shape=[16]"]
    tiny.run(
        [*latent, *tiny.COMMON, *tiny.LENGTH, "data.limit=100", "sampler.steps=2", f"paths.outputs={tmp_path}/latent"]
    )
