import math

import pytest
import torch
from torch.nn.functional import avg_pool2d

from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.untrained import Pixels
from genexp.evaluation.grouped_moments import GroupedMoments
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.spectrum import Spectrum
from genexp.evaluation.radial_spectrum import ROUNDING, RadialSpectrum
from genexp.evaluation.scores import Generated


def grain(count, *shape, seed=0):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def value(metric, generated, real):
    sides = []
    for images in (generated, real):
        moments = GroupedMoments(metric.extractor.dimensions)
        moments.update(metric.extractor(images), torch.arange(len(images)))
        sides.append(moments)
    prepared = metric.prepare(sides[1].condensed(), metric.extractor)
    return metric.compute(sides[0], prepared)["spectrum"]


def test_white_noise_is_flat_at_its_variance():
    extractor = RadialSpectrum([3, 16, 16])
    spectra = extractor(0.2 * grain(500, 3, 16, 16))
    power = (10 ** (spectra.double() / 10)).mean(0)
    assert extractor.dimensions == len(extractor.radii) == 11
    torch.testing.assert_close(power, torch.full((11,), 0.04 + ROUNDING, dtype=torch.float64), rtol=0.05, atol=0)


@pytest.mark.parametrize("cycles", [1, 3, 8])
def test_a_sinusoid_peaks_in_its_bin_with_its_power(cycles):
    wave = torch.cos(2 * math.pi * cycles * torch.arange(16) / 16).expand(16, 16)
    extractor = RadialSpectrum([1, 16, 16])
    (spectrum,) = extractor(wave[None, None])
    place = extractor.radii.index(cycles)
    assert int(spectrum.argmax()) == place
    rest = torch.cat([spectrum[:place], spectrum[place + 1 :]])
    torch.testing.assert_close(rest, torch.full((10,), 10 * math.log10(ROUNDING)), rtol=0, atol=0.1)
    power = 10 ** (float(spectrum[place]) / 10) * int(extractor._size[place + 1])
    assert power == pytest.approx(float(wave.square().sum()), rel=1e-3)


def test_blur_lowers_high_bins_and_brightness_changes_none():
    extractor, images = RadialSpectrum([1, 16, 16]), grain(50, 1, 16, 16) * 0.2
    plain = extractor(images).mean(0)
    drop = plain - extractor(avg_pool2d(images, 3, 1, 1)).mean(0)
    assert drop[-1] > 10 > 3 > drop[0] > -3
    torch.testing.assert_close(extractor(images + 0.3).mean(0), plain, rtol=0, atol=1e-2)


def test_bins_cover_the_plane_of_frequencies_once_also_of_oblong_images():
    extractor = RadialSpectrum([2, 6, 9])
    assert int(extractor._size.sum()) == 54
    assert extractor._size[0] == 1
    assert extractor(grain(4, 2, 6, 9)).shape == (4, extractor.dimensions)


def test_a_known_gain_is_its_distance_in_decibels():
    metric = Spectrum(RadialSpectrum([1, 16, 16]))
    real = grain(400, 1, 16, 16)
    found = value(metric, 2 * real, real)
    assert found.value == pytest.approx(20 * math.log10(2), rel=1e-4)
    assert len(found.draws) == 20
    assert sum(found.draws) / 20 == pytest.approx(found.value, rel=0.01)
    assert found.details["bin_3"] == pytest.approx(20 * math.log10(2), rel=1e-4)
    assert value(metric, real, real).value == pytest.approx(0, abs=1e-6)
    assert value(metric, real[:10], real).draws == ()


def test_an_evaluator_computes_it_under_the_name_of_its_spectra():
    images = (grain(40, 1, 8, 8) / 3).clamp(-1, 1)
    evaluator = Evaluator(Pixels(1, 4), {"spectrum": Spectrum(RadialSpectrum([1, 8, 8]))})
    real = ImageSet("train", "x", 40, (1, 8, 8), lambda: [{"image": images}])
    scores = evaluator.scores(
        evaluator.summarise([{"image": images}]), evaluator.reference(real), Generated(40, 0, "raw", "none")
    )
    (key,) = scores
    assert key.startswith("spectrum/radial_spectrum@")
    assert scores[key].value.value == pytest.approx(0, abs=1e-9)


def test_bad_input_is_refused():
    metric = Spectrum(RadialSpectrum([1, 8, 8]))
    with pytest.raises(ValueError, match="Spectrum needs the extractor RadialSpectrum, got Pixels"):
        metric.prepare(GroupedMoments(16), Pixels(1, 4))
    with pytest.raises(ValueError, match="a mean spectrum needs at least 1 image, got 0"):
        metric.prepare(GroupedMoments(metric.extractor.dimensions), metric.extractor)
    with pytest.raises(ValueError, match=r"image must have shape \(B, 1, 8, 8\), got \(2, 1, 4, 4\)"):
        metric.extractor(torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match=r"shape must be \[channels, height, width\] of at least 2 x 2 pixels"):
        RadialSpectrum([1, 1, 8])
