import math

import pytest
import torch
from torch.nn.functional import avg_pool2d
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from genexp.data.datamodule import ImageData
from genexp.data.digits import Digits
from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.untrained import Pixels
from genexp.evaluation.extractors.whole_images import Images, in_colour
from genexp.evaluation.images import ImageSet, quantised
from genexp.evaluation.metrics.ms_ssim import MsSsimDiversity
from genexp.evaluation.metrics.reconstruction import Reconstruction
from genexp.evaluation.pairing import seeded_pairs
from genexp.evaluation.scores import Generated
from genexp.evaluation.summaries import FeatureStore
from genexp.evaluation.uncertainty import interval
from genexp.losses.structural_similarity import (
    SCALE_WEIGHTS,
    fitting_scales,
    fitting_window,
    multi_scale_similarity,
    structural_similarity,
)
from genexp.tensors import to_uint8


def noise(count, *shape, seed=0):
    return quantised(torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1)


def smooth(count, *shape, seed=0):
    return quantised(avg_pool2d(noise(count, *shape, seed=seed), 5, 1, 2))


def stored(images, label=None, first=0):
    store = FeatureStore(images[0].numel())
    store.update(to_uint8(images).flatten(1), torch.arange(first, first + len(images)), label)
    return store


def run(metric, generated, real, label=None, real_label=None):
    prepared = metric.prepare(stored(real, real_label), metric.extractor)
    return metric.compute(stored(generated, label), prepared)


@pytest.fixture(scope="module")
def digits():
    data = ImageData(Digits(), shape=[1, 8, 8], num_classes=10, batch_size=64)
    read = {split: list(data.reference(split)) for split in ("train", "test")}
    return {
        split: {name: torch.cat([batch[name] for batch in batches]) for name in ("image", "label")}
        for split, batches in read.items()
    }


def test_images_come_back_as_they_went_in_and_lend_no_suffix_to_a_key():
    images, extractor = noise(5, 3, 4, 6), Images([3, 4, 6])
    assert extractor(images).shape == (5, extractor.dimensions)
    assert torch.equal(extractor.restored(extractor(images)), images)
    assert Images([3, 6, 4]).digest != extractor.digest
    evaluator = Evaluator(Pixels(3, 4), {"r": Reconstruction(extractor)})
    real = ImageSet("train", "x", 5, (3, 4, 6), lambda: [{"image": images}])
    scores = evaluator.scores(evaluator.summarise([{"image": images}]), evaluator.reference(real), GENERATED)
    assert set(scores) == {"psnr", "ssim"}
    assert scores["ssim"].protocol.settings == "Reconstruction(sigma=1.5, window=3)"


GENERATED = Generated(5, 0, "raw", "none")


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"image must have shape \(B, 1, 4, 4\), got \(2, 1, 5, 5\)"):
        Images([1, 4, 4])(torch.zeros(2, 1, 5, 5))
    with pytest.raises(ValueError, match=r"shape must be \[channels, height, width\], got \[2\]"):
        Images([2])
    with pytest.raises(ValueError, match=r"image must have shape \(B, 1 or 3, H, W\), got \(2, 2, 4, 4\)"):
        in_colour(torch.zeros(2, 2, 4, 4), 3)


def test_psnr_of_a_constant_error_is_its_closed_form():
    real, step = quantised(noise(60, 3, 12, 12) / 2), 13 / 127.5
    found = run(Reconstruction(Images([3, 12, 12])), real + step, real)["psnr"]
    assert found.value == pytest.approx(20 * math.log10(2 / step), rel=1e-5)
    assert found.draws == pytest.approx([found.value] * 20, rel=1e-6)
    assert found.details["pooled"] == pytest.approx(found.value, rel=1e-5)


def test_psnr_is_the_mean_over_images_of_torchmetrics():
    real, generated = noise(6, 3, 12, 12), noise(6, 3, 12, 12, seed=1)
    found = run(Reconstruction(Images([3, 12, 12])), generated, real)["psnr"].value
    each = [peak_signal_noise_ratio(g, r, data_range=2.0) for g, r in zip(generated, real, strict=True)]
    assert found == pytest.approx(float(torch.stack(each).mean()), rel=1e-5)


def test_a_pair_without_difference_has_infinite_psnr_and_is_counted():
    real = noise(40, 1, 12, 12)
    generated = real.clone()
    generated[1:] += 0.1
    found = run(Reconstruction(Images([1, 12, 12])), generated, real)
    assert math.isinf(found["psnr"].value)
    assert found["psnr"].draws == ()
    assert found["psnr"].details["identical"] == 1
    assert math.isfinite(found["psnr"].details["pooled"])
    assert run(Reconstruction(Images([1, 12, 12])), real, real)["ssim"].value == pytest.approx(1)


def test_ssim_is_the_part_of_torchmetrics_map_where_the_window_fits():
    a, b = smooth(4, 3, 24, 20), smooth(4, 3, 24, 20) + 0.3 * noise(4, 3, 24, 20, seed=1)
    _, full = structural_similarity_index_measure(
        (a.double() + 1) / 2, (b.double() + 1) / 2, data_range=1.0, reduction="none", return_full_image=True
    )
    expected = full[..., 5:-5, 5:-5].flatten(1).mean(1)
    torch.testing.assert_close(structural_similarity(a, b)[0], expected, rtol=1e-6, atol=1e-8)


def test_ssim_of_constant_images_is_the_luminance_term():
    a, b = torch.full((1, 1, 11, 11), -0.5), torch.full((1, 1, 11, 11), 0.5)
    found, contrast = structural_similarity(a, b)
    assert float(contrast) == pytest.approx(1)
    assert float(found) == pytest.approx((2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4))


def test_pairs_are_matched_by_index_in_any_order_and_batch():
    real, generated = smooth(50, 1, 12, 12), smooth(50, 1, 12, 12) + 0.1 * noise(50, 1, 12, 12, seed=2)
    metric = Reconstruction(Images([1, 12, 12]))
    expected = run(metric, generated, real)
    shuffled, order = FeatureStore(144), torch.randperm(50, generator=torch.Generator().manual_seed(0))
    for part in order.split(7):
        shuffled.update(to_uint8(generated[part]).flatten(1), part)
    assert metric.compute(shuffled, stored(real)) == expected
    assert len(expected["ssim"].draws) == 20
    bounds = interval(expected["ssim"].draws)
    assert bounds.value == pytest.approx(expected["ssim"].value, rel=1e-3)
    assert bounds.low < expected["ssim"].value < bounds.high


def test_paired_metrics_refuse_sets_that_do_not_match():
    metric, real = Reconstruction(Images([1, 12, 12])), noise(5, 1, 12, 12)
    with pytest.raises(ValueError, match="as many generated as real images, got 4 and 5"):
        run(metric, real[:4], real)
    with pytest.raises(ValueError, match="the same indices on both sides"):
        metric.compute(stored(real, first=1), metric.prepare(stored(real), metric.extractor))
    with pytest.raises(ValueError, match="Reconstruction needs the extractor Images, got Pixels"):
        metric.prepare(stored(real), Pixels(1, 4))
    with pytest.raises(ValueError, match="Reconstruction needs the extractor Images, got Pixels"):
        Reconstruction(Pixels(1, 4))
    with pytest.raises(ValueError, match=r"window must be odd and at most the images' side of 12 pixels, got 13"):
        Reconstruction(Images([1, 12, 12]), window=13)


def test_window_and_scales_follow_the_image_size():
    assert [fitting_window((1, side, side), None) for side in (1, 8, 9, 32)] == [1, 7, 9, 11]
    assert [fitting_scales((1, s, s), fitting_window((1, s, s), None), None) for s in (8, 32, 64, 176)] == [1, 2, 3, 5]
    metric = MsSsimDiversity(Images([1, 32, 32]), scales=3, window=7)
    assert (metric.scales, metric.window) == (3, 7)
    with pytest.raises(ValueError, match="scales must lie in 1 to 2 for images of 32 pixels and window=11, got 5"):
        MsSsimDiversity(Images([1, 32, 32]), scales=5)


def test_ms_ssim_is_the_product_of_the_scales():
    a, b = smooth(3, 3, 48, 48), smooth(3, 3, 48, 48) + 0.2 * noise(3, 3, 48, 48, seed=1)
    weights = torch.tensor(SCALE_WEIGHTS[:2], dtype=torch.float64)
    weights = weights / weights.sum()
    _, contrast = structural_similarity(a, b)
    similarity, _ = structural_similarity(avg_pool2d(a, 2), avg_pool2d(b, 2))
    expected = contrast ** weights[0] * similarity ** weights[1]
    torch.testing.assert_close(multi_scale_similarity(a, b, 2), expected)
    torch.testing.assert_close(multi_scale_similarity(a, b, 1), structural_similarity(a, b)[0])


def test_ms_ssim_of_five_scales_is_near_torchmetrics_which_counts_reflected_borders_too():
    a, b = smooth(1, 1, 192, 192), smooth(1, 1, 192, 192) + 0.1 * noise(1, 1, 192, 192, seed=1)
    expected = multiscale_structural_similarity_index_measure((a + 1) / 2, (b + 1) / 2, data_range=1.0)
    assert float(multi_scale_similarity(a, b, 5)) == pytest.approx(float(expected), abs=0.01)


def test_pairs_are_all_when_few_and_seeded_when_many():
    assert seeded_pairs(4, 6, 0).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    pairs = seeded_pairs(100, 500, 3)
    assert pairs.shape == (500, 2)
    assert bool((pairs[:, 0] != pairs[:, 1]).all())
    assert 0 <= int(pairs.min()) < int(pairs.max()) < 100
    assert torch.equal(pairs, seeded_pairs(100, 500, 3))
    assert not torch.equal(pairs, seeded_pairs(100, 500, 4))
    with pytest.raises(ValueError, match="a pair needs at least 2 images, got 1"):
        seeded_pairs(1, 5, 0)
    with pytest.raises(ValueError, match="pairs must be at least 1, got 0"):
        MsSsimDiversity(Images([1, 8, 8]), pairs=0)


def test_copies_of_one_image_have_no_diversity_and_a_seed_fixes_the_value():
    one = noise(1, 1, 12, 12)
    metric = MsSsimDiversity(Images([1, 12, 12]), pairs=200)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    found = run(metric, one.repeat(50, 1, 1, 1), noise(50, 1, 12, 12))["ms_ssim"]
    assert torch.equal(torch.rand(1), expected)
    assert found.value == pytest.approx(1)
    assert found.details["real"] < 0.2
    assert run(metric, noise(50, 1, 12, 12), one.expand(50, -1, -1, -1))["ms_ssim"].value == found.details["real"]


def test_leaving_groups_out_estimates_the_spread_over_sets_of_images():
    metric = MsSsimDiversity(Images([1, 8, 8]), pairs=10**6)
    values, errors = [], []
    for seed in range(12):
        found = run(metric, smooth(60, 1, 8, 8, seed=seed), smooth(4, 1, 8, 8))["ms_ssim"]
        values.append(found.value)
        errors.append(interval(found.draws).error)
    spread = torch.tensor(values).std()
    assert 0.5 * spread < torch.tensor(errors).mean() < 2 * spread


def test_within_classes_the_mean_over_classes_counts(digits):
    train = digits["train"]
    metric = MsSsimDiversity(Images([1, 8, 8]), pairs=100, within_classes=True)
    found = run(metric, train["image"], train["image"], train["label"], train["label"])["ms_ssim"]
    classes = [found.details[f"class_{digit}"] for digit in range(10)]
    assert found.value == pytest.approx(sum(classes) / 10)
    assert found.details["real"] == found.value
    everything = run(MsSsimDiversity(Images([1, 8, 8]), pairs=500), train["image"], train["image"])["ms_ssim"].value
    assert found.value > everything + 0.1  # digits of one class are more alike
    with pytest.raises(ValueError, match="needs labelled images, got 1197 of 1197 without a label"):
        run(metric, train["image"], train["image"], None, train["label"])
