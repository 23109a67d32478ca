import pytest

from genexp.data.datamodule import ImageData
from genexp.data.digits import Digits
from genexp.evaluation.canaries import CANARIES, RealImages, moved
from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.classifiers import ClassifierFeatures
from genexp.evaluation.extractors.whole_images import Images
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.classifier_accuracy import ClassifierAccuracy
from genexp.evaluation.metrics.detectability import Detectability
from genexp.evaluation.metrics.ms_ssim import MsSsimDiversity
from genexp.evaluation.metrics.spectrum import Spectrum
from genexp.evaluation.radial_spectrum import RadialSpectrum

SHAPE = [1, 8, 8]


METRICS = {
    "ms_ssim": lambda: MsSsimDiversity(Images(SHAPE)),
    "spectrum": lambda: Spectrum(RadialSpectrum(SHAPE)),
    "detectability": lambda: Detectability(RadialSpectrum(SHAPE)),
    "cas": lambda: ClassifierAccuracy(Images(SHAPE), steps=80),
}


@pytest.fixture(scope="module")
def digits():
    data = ImageData(Digits(), shape=SHAPE, num_classes=10, batch_size=64)
    return {split: RealImages.gathered(data.reference(split)) for split in ("train", "test")}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_move_on_canaries_as_their_cards_say(digits, name):
    metric = METRICS[name]()
    evaluator = Evaluator(ClassifierFeatures("digits_classifier"), {name: metric})
    real = ImageSet("train", "x", len(digits["train"].image), tuple(SHAPE), digits["train"].batches)
    reference = evaluator.reference(real)

    def value(images):
        return evaluator.values(evaluator.summarise(images.batches()), reference)[name][name].value

    held_out = value(digits["test"])
    assert metric.reacts
    for canary, expected in metric.reacts.items():
        faulty = value(CANARIES[canary](digits["test"], digits["train"]))
        assert moved(metric.values[name], held_out, held_out, faulty) == expected, (canary, held_out, faulty)
