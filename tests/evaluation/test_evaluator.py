import pytest
import torch
from torch.nn.functional import avg_pool2d

from genexp.data.datamodule import ImageData
from genexp.data.digits import Digits
from genexp.evaluation.cache import TensorCache
from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.classifiers import ClassifierFeatures
from genexp.evaluation.extractors.untrained import Coordinates, Pixels
from genexp.evaluation.images import ImageSet, quantised, sampled_rows
from genexp.evaluation.metrics.base import Value
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.evaluation.metrics.kernel import KernelDistance
from genexp.evaluation.scores import Generated
from genexp.evaluation.summaries import FeatureStore
from genexp.tensors import to_float


class Counted:
    """Pixels that count how many images they looked at."""

    name, digest, dimensions, image_size, resize = "counted", "c" * 64, 16, None, "none"

    def __init__(self):
        self.seen = 0

    def __call__(self, image):
        self.seen += len(image)
        return image.flatten(1)


def batches(images, batch_size=64):
    return [{"image": part} for part in images.split(batch_size)]


def image_set(images, name="train", batch_size=64):
    shape = tuple(images.shape[1:])
    return ImageSet(name, f"digest of {name}", len(images), shape, lambda: batches(images, batch_size))


def noise(count=200, seed=0):
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def value(evaluator, images, reference, batch_size=64):
    return evaluator.values(evaluator.summarise(batches(images, batch_size)), reference)["fd"]["fd"].value


@pytest.fixture(scope="module")
def digits():
    data = ImageData(Digits(), shape=[1, 8, 8], num_classes=10, batch_size=64)
    images = {split: torch.cat([batch["image"] for batch in data.reference(split)]) for split in ("train", "test")}
    label = torch.cat([batch["label"] for batch in data.eval_loader("test")])
    return images["train"], images["test"], label


def test_all_256_levels_pass_unchanged_and_other_values_go_to_the_nearest():
    levels = to_float(torch.arange(256, dtype=torch.uint8)).reshape(1, 1, 16, 16)
    assert torch.equal(quantised(levels), levels)
    assert torch.equal(quantised(levels + 0.4 / 127.5), levels)
    points = torch.randn(5, 2)
    assert torch.equal(quantised(points), points)


def test_an_image_scores_as_it_would_after_being_saved():
    evaluator = Evaluator(Pixels(1, 4), {"fd": FrechetDistance()})
    reference = evaluator.reference(image_set(noise()))
    assert value(evaluator, noise(seed=1), reference) == value(evaluator, quantised(noise(seed=1)), reference)


@pytest.mark.parametrize("batch_size", [1, 7, 200])
def test_batch_size_and_order_do_not_change_a_value(batch_size):
    evaluator = Evaluator(ClassifierFeatures("digits_classifier"), {"fd": FrechetDistance()})
    images = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    reference = evaluator.reference(image_set(images[:100]))
    expected = value(evaluator, images[100:], reference)
    assert value(evaluator, images[100:].flip(0), reference, batch_size) == pytest.approx(expected, rel=1e-6)


def test_on_digits_the_distance_orders_corruptions_above_the_floor(digits):
    train, test, label = digits
    evaluator = Evaluator(ClassifierFeatures("digits_classifier"), {"fd": FrechetDistance()})
    reference = evaluator.reference(image_set(train))
    generator = torch.Generator().manual_seed(0)
    grain = torch.randn(test.shape, generator=generator)
    floor = value(evaluator, test, reference)
    noisy = [value(evaluator, test + level * grain, reference) for level in (0.1, 0.3, 1.0)]
    assert floor < noisy[0] < noisy[1] < noisy[2]
    assert value(evaluator, test[label != 3], reference) > 5 * floor  # one digit missing
    assert value(evaluator, test[:20].repeat(20, 1, 1, 1), reference) > 5 * floor  # collapse
    assert value(evaluator, avg_pool2d(test, 3, 1, 1), reference) > 5 * floor  # blur
    assert value(evaluator, torch.rand(test.shape, generator=generator) * 2 - 1, reference) > 100 * floor


def test_points_are_compared_by_their_coordinates():
    evaluator = Evaluator(Coordinates(2), {"fd": FrechetDistance()})
    points = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    reference = evaluator.reference(image_set(points))
    shifted = points + torch.tensor([3.0, 4.0])
    assert value(evaluator, shifted, reference) == pytest.approx(25, rel=1e-5)
    assert evaluator.protocol("fd", "fd", reference, Generated(500, 0, "raw", "none")).quantiser == "none"


def test_metrics_share_one_pass_of_features_unless_they_bring_their_own():
    shared, own = Counted(), Counted()
    own.name = "own"
    evaluator = Evaluator(shared, {"a": FrechetDistance(), "b": KernelDistance(), "c": FrechetDistance(own)})
    reference = evaluator.reference(image_set(noise()))
    values = evaluator.values(evaluator.summarise(batches(noise(seed=1), 50)), reference)
    assert (shared.seen, own.seen) == (400, 400)
    assert values["a"]["fd"] == values["c"]["fd"]
    assert set(values["b"]) == {"kid"}
    assert evaluator.protocol("c", "fd", reference, Generated(200, 0, "raw", "none")).key == "fd/own@cccccccc"


def test_real_images_are_looked_at_once_for_all_runs(tmp_path):
    first, second = Counted(), Counted()
    expected = Evaluator(first, {"fd": FrechetDistance()}, TensorCache(tmp_path)).reference(image_set(noise()))
    evaluator = Evaluator(second, {"fd": FrechetDistance()}, TensorCache(tmp_path))
    found = evaluator.reference(image_set(noise()))
    assert (first.seen, second.seen) == (200, 0)
    assert value(evaluator, noise(seed=1), found) == value(evaluator, noise(seed=1), expected)


@pytest.mark.parametrize("change", [{"digest": "other"}, {"count": 199}, {"extractor": "d" * 64}])
def test_cached_statistics_are_used_only_for_the_same_content_count_and_weights(tmp_path, change):
    Evaluator(Counted(), {"fd": FrechetDistance()}, TensorCache(tmp_path)).reference(image_set(noise()))
    extractor, images = Counted(), noise()[: change.get("count", 200)]
    extractor.digest = change.get("extractor", extractor.digest)
    real = image_set(images)
    real = ImageSet(real.name, change.get("digest", real.digest), real.count, real.shape, real.batches)
    Evaluator(extractor, {"fd": FrechetDistance()}, TensorCache(tmp_path)).reference(real)
    assert extractor.seen == len(images)


def test_a_damaged_cache_is_rebuilt_with_a_notice(tmp_path, caplog):
    evaluator = Evaluator(Counted(), {"fd": FrechetDistance()}, TensorCache(tmp_path))
    evaluator.reference(image_set(noise()))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    evaluator.reference(image_set(noise()))
    assert "computing them anew" in caplog.text
    fresh = Counted()
    Evaluator(fresh, {"fd": FrechetDistance()}, TensorCache(tmp_path)).reference(image_set(noise()))
    assert fresh.seen == 0


def test_a_value_carries_its_protocol():
    evaluator = Evaluator(Counted(), {"fd": FrechetDistance()})
    reference = evaluator.reference(image_set(noise()))
    record = evaluator.protocol("fd", "fd", reference, Generated(1000, 7, "averaged", "DDIM(steps=20)")).record()
    assert record == {
        "metric": "fd",
        "settings": "FrechetDistance()",
        "extractor": "counted",
        "extractor_digest": "c" * 64,
        "input_size": 0,
        "resize": "none",
        "quantiser": "uint8",
        "reference": "train",
        "reference_digest": "digest of train",
        "n_reference": 200,
        "n_generated": 1000,
        "seed": 7,
        "weights": "averaged",
        "sampler": "DDIM(steps=20)",
        "dealing": "by index",
    }


def test_bad_input_is_refused():
    evaluator = Evaluator(Counted(), {"fd": FrechetDistance()})
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        evaluator.reference(image_set(noise(1)))
    with pytest.raises(ValueError, match="train must hold 5 images as declared, got 4"):
        evaluator.reference(ImageSet("train", "x", 5, (1, 4, 4), lambda: [{"image": noise(4)}]))
    with pytest.raises(ValueError, match=r"features must have shape \(N, 16\), got \(3, 64\)"):
        evaluator.summarise([{"image": torch.zeros(3, 1, 8, 8)}])
    broken = noise(5)
    broken[1, 0, 2, 2], broken[3] = float("nan"), float("inf")
    with pytest.raises(ValueError, match="images must be finite, got NaN or infinity in 2 of 5"):
        evaluator.summarise([{"image": broken}])
    dividing = Counted()
    dividing.__class__ = type("Dividing", (Counted,), {"__call__": lambda self, image: image.flatten(1) / 0})
    with pytest.raises(ValueError, match="features must be finite, got NaN or infinity in 5 of 5 images"):
        Evaluator(dividing, {"fd": FrechetDistance()}).summarise([{"image": noise(5)}])


class Paired:
    """A metric that compares image i with image i."""

    values, reacts, statistic, extractor, kind = {"gap": "lower"}, {}, FeatureStore, None, "pairs"

    def prepare(self, reference, extractor):
        return reference

    def compute(self, generated, prepared):
        return {"gap": Value(float((generated.features - prepared.features).abs().mean()))}


def test_a_metric_of_pairs_has_no_floor_and_is_told_the_number_it_needs():
    evaluator = Evaluator(Counted(), {"gap": Paired(), "fd": FrechetDistance()})
    with pytest.raises(ValueError, match="gap compares image i with image i: num must be 200, got 100"):
        evaluator.reference(image_set(noise()), num=100)
    reference = evaluator.reference(image_set(noise()), num=200)
    assert list(evaluator.floor(image_set(noise(150, seed=1), "test"), reference)) == ["fd/counted@cccccccc"]
    assert evaluator.values(evaluator.summarise(batches(noise(), 70)), reference)["gap"]["gap"].value == 0


def test_the_floor_takes_as_many_images_as_it_stands_beside_drawn_from_the_whole_set():
    evaluator = Evaluator(Counted(), {"fd": FrechetDistance()})
    reference, held_out = evaluator.reference(image_set(noise())), image_set(noise(100, seed=1), "test", 13)
    (score,) = evaluator.floor(held_out, reference, num=40).values()
    assert score.protocol.n_generated == 40
    assert score.protocol.sampler == "test, 40 of 100 drawn at random, seed 0"
    drawn = noise(100, seed=1)[sampled_rows(100, 40, None, seed=0)]
    assert score.value.value == pytest.approx(value(evaluator, drawn, reference), rel=1e-9)
    (whole,) = evaluator.floor(held_out, reference, num=400).values()
    assert whole.protocol.n_generated == 100


@pytest.mark.parametrize("arranged", ["one after the other", "in turn"])
def test_a_sample_holds_the_classes_in_their_shares_however_the_images_are_arranged(arranged):
    index = torch.arange(100)
    label = index // 10 if arranged == "one after the other" else index % 10
    images = index.float().reshape(100, 1, 1, 1).expand(-1, 1, 4, 4) / 100
    opened = [{"image": image, "label": some} for image, some in zip(images.split(7), label.split(7), strict=True)]
    whole = ImageSet("test", "x", 100, (1, 4, 4), lambda: opened, labelled=True)
    sample = whole.sample(20)
    assert (sample.count, sample.note) == (20, "20 of 100 drawn at random by class, seed 0")
    found = torch.cat([batch["label"] for batch in sample.batches()])
    assert found.bincount().tolist() == [2] * 10
    pixels = torch.cat([batch["image"] for batch in sample.batches()])[:, 0, 0, 0]
    assert torch.equal(label[(pixels * 100).round().long()], found)
    assert sample.digest not in (whole.digest, whole.sample(20, seed=1).digest)
    assert whole.sample(100) is whole


def test_two_metrics_that_give_one_value_over_the_same_features_are_refused():
    with pytest.raises(ValueError, match="every value over the same features once, got fd from a and b"):
        Evaluator(Counted(), {"a": FrechetDistance(), "b": FrechetDistance()})


def test_extractors_that_resize_differently_do_not_share_features():
    one, other = Counted(), Counted()
    other.resize = "pil_clean"
    evaluator = Evaluator(one, {"a": FrechetDistance(), "b": FrechetDistance(other)})
    evaluator.summarise(batches(noise()))
    assert (one.seen, other.seen) == (200, 200)
    assert evaluator.slot("a") != evaluator.slot("b")
