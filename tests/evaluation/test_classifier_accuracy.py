import pytest
import torch

from genexp.data.datamodule import ImageData
from genexp.data.digits import Digits
from genexp.evaluation.extractors.untrained import Pixels
from genexp.evaluation.extractors.whole_images import Images
from genexp.evaluation.metrics.classifier_accuracy import ClassifierAccuracy
from genexp.evaluation.summaries import FeatureStore
from genexp.tensors import to_uint8


def stored(images, label=None):
    store = FeatureStore(images[0].numel())
    store.update(to_uint8(images).flatten(1), torch.arange(len(images)), label)
    return store


@pytest.fixture(scope="module")
def digits():
    data = ImageData(Digits(), shape=[1, 8, 8], num_classes=10, batch_size=64)
    found = {}
    for split in ("train", "test"):
        batches = list(data.reference(split))
        found[split] = tuple(torch.cat([batch[name] for batch in batches]) for name in ("image", "label"))
    return found


@pytest.fixture(scope="module")
def trained(digits):
    metric = ClassifierAccuracy(Images([1, 8, 8]), steps=150)
    return metric, metric.prepare(stored(*digits["train"]), metric.extractor)


def test_real_images_teach_what_the_classifier_needs(trained, digits):
    metric, lesson = trained
    assert lesson.real > 0.95
    found = metric.compute(stored(*digits["test"]), lesson)["cas"]
    assert found.value > 0.95
    assert found.details == {"real": lesson.real}
    assert len(lesson.images) == 599


def test_labels_that_say_nothing_teach_nothing(trained, digits):
    metric, lesson = trained
    images, label = digits["test"]
    shuffled = label[torch.randperm(len(label), generator=torch.Generator().manual_seed(0))]
    assert metric.compute(stored(images, shuffled), lesson)["cas"].value < 0.3


def test_it_is_fixed_by_its_seed_and_leaves_the_global_generator_alone(digits):
    metric = ClassifierAccuracy(Images([1, 8, 8]), steps=20)
    real = stored(*digits["train"])
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = metric.compute(stored(*digits["test"]), metric.prepare(real, metric.extractor))
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(9)
    with torch.no_grad():
        again = metric.compute(stored(*digits["test"]), metric.prepare(real, metric.extractor))
    assert first == again


def test_the_classifier_looks_at_images_of_a_size_that_fits():
    sizes = {6: 4, 8: 8, 28: 16, 32: 32, 64: 32}
    assert {side: ClassifierAccuracy(Images([1, side, side])).image_size for side in sizes} == sizes
    assert ClassifierAccuracy(Images([3, 32, 32]), image_size=16).image_size == 16


def test_bad_input_is_refused(trained, digits):
    metric, lesson = trained
    images, label = digits["test"]
    with pytest.raises(ValueError, match="ClassifierAccuracy needs labelled images, got 400 of 400 without a label"):
        metric.compute(stored(images), lesson)
    with pytest.raises(ValueError, match="ClassifierAccuracy needs labelled images, got 400 of 400 without a label"):
        metric.prepare(stored(images), metric.extractor)
    with pytest.raises(ValueError, match=r"generated labels must lie in \[0, 10\), got 12"):
        metric.compute(stored(images, torch.full_like(label, 12)), lesson)
    with pytest.raises(ValueError, match="at least 4 real images of 2 classes, got 3 of 10"):
        metric.prepare(stored(images[:3], torch.tensor([0, 9, 1])), metric.extractor)
    with pytest.raises(ValueError, match="ClassifierAccuracy needs the extractor Images, got Pixels"):
        ClassifierAccuracy(Pixels(1, 8))
    with pytest.raises(ValueError, match="steps must be positive, got 0"):
        ClassifierAccuracy(Images([1, 8, 8]), steps=0)
    with pytest.raises(ValueError, match="extractor must give images of at least 4 x 4 pixels"):
        ClassifierAccuracy(Images([1, 3, 8]))
