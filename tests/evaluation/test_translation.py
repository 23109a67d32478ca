"""PSNR, SSIM and L1 of what a model makes of held-out pictures, beside those of the pictures themselves."""

import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.conditioning.pictures import Picture
from genexp.evaluation.images import ImageSet, quantised
from genexp.evaluation.metrics.translation import Translation
from genexp.evaluation.over_model import scores_of_model

SHAPE = (1, 24, 24)
IMAGES, SOURCES = (torch.rand(2, 50, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1).unbind(0)


class Mixing:
    """Answers to a picture with a share of it, and a little of its latent."""

    latent_shape = (1,)

    def __init__(self, shape=SHAPE):
        self.conditioning = Conditioning({"source": Picture(shape)})

    def decode(self, latent, condition=UNCONDITIONAL):
        return (0.5 * condition["source"][:, :1] + 0.1 * latent[:, :, None, None]).clamp(-1, 1)


def scores(model, size=20, seed=0, sources=SOURCES):
    def batches():
        for part, source in zip(IMAGES.split(size), sources.split(size), strict=True):
            yield {"image": part, "source": source}

    data = ImageSet("val", "d" * 64, len(IMAGES), SHAPE, batches)
    found = scores_of_model({"translation": Translation()}, model, lambda split: data, seed, "raw")
    return {score.protocol.metric: score for score in found.values()}


def test_values_are_those_of_torchmetrics_in_any_batches():
    found = scores(Mixing())
    latent = torch.stack([torch.empty(1).normal_(generator=_row(i)) for i in range(50)])
    made = quantised(Mixing().decode(latent, {"source": SOURCES}))
    psnr = [peak_signal_noise_ratio(a, b, data_range=2.0) for a, b in zip(made, IMAGES, strict=True)]
    assert found["translation_psnr"].value.value == pytest.approx(float(torch.stack(psnr).mean()), rel=1e-4)
    _, places = structural_similarity_index_measure(
        (made + 1) / 2, (IMAGES + 1) / 2, data_range=1.0, return_full_image=True
    )
    inner = places[..., 5:-5, 5:-5].mean()  # where the window fits
    assert found["translation_ssim"].value.value == pytest.approx(float(inner), abs=1e-4)
    assert found["translation_l1"].value.value == pytest.approx(float((made - IMAGES).abs().mean()), rel=1e-4)
    assert scores(Mixing(), size=7)["translation_psnr"].value.value == found["translation_psnr"].value.value


def test_the_plain_pictures_stand_beside_them():
    found = scores(Mixing())
    copied = float((SOURCES - IMAGES).abs().mean())
    assert found["translation_l1"].value.details["copy"] == pytest.approx(copied, rel=1e-4)
    gain = found["translation_psnr"].value.value - found["translation_psnr"].value.details["copy"]
    assert found["translation_gain"].value.value == pytest.approx(gain)
    assert found["translation_gain"].value.draws  # with an interval
    assert {name: score.better for name, score in found.items()} == Translation.values


def test_pictures_of_other_channels_are_no_answers():
    found = scores(Mixing((3, 24, 24)), sources=SOURCES.expand(-1, 3, -1, -1))
    assert set(found) == {"translation_psnr", "translation_ssim", "translation_l1"}
    assert found["translation_l1"].value.details == {}


def test_other_seeds_and_splits_are_other_protocols():
    first, second = scores(Mixing()), scores(Mixing(), seed=1)
    assert first["translation_l1"].value.value != second["translation_l1"].value.value
    assert first["translation_l1"].protocol != second["translation_l1"].protocol
    assert "8-bit images of source" in first["translation_l1"].protocol.settings


def test_models_that_are_told_no_picture_are_refused():
    model = Mixing()
    model.conditioning = Conditioning.of(3)
    with pytest.raises(TypeError, match="Translation measures a LatentDecoder that is told pictures, got Mixing"):
        Translation().require(model)
    with pytest.raises(ValueError, match="split must be one of train, val, test, got 'valid'"):
        Translation("valid")


def _row(index):
    from genexp.tensors import mix_seed

    return torch.Generator().manual_seed(mix_seed(0, index))
