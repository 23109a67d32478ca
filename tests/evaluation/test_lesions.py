"""Lesions are kept where an image shows them with the sign and half the contrast of the real ones."""

import pytest
import torch

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.conditioning.pictures import Picture
from genexp.data.contrast_lesions import ContrastLesions
from genexp.data.contrasts import Contrasts, anatomy
from genexp.data.digits import Digits
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.lesions import Lesions
from genexp.evaluation.over_model import scores_of_model
from genexp.tensors import to_float

SOURCE = Contrasts(32, train_images=8, val_images=200, test_images=8, bias=0.0)
PAIRS = {name: to_float(each) for name, each in SOURCE.split("val").read(torch.arange(200)).items()}
LESION, ORGAN = ContrastLesions(SOURCE).shares("val", torch.arange(200))


class Answering:
    """Answers with what a function makes of the real image, its lesions and the organs around them."""

    latent_shape = (1,)

    def __init__(self, answer):
        self.conditioning, self.answer, self.seen = Conditioning({"source": Picture((1, 32, 32))}), answer, 0

    def decode(self, latent, condition=UNCONDITIONAL):
        rows = slice(self.seen, self.seen + len(latent))
        self.seen = rows.stop
        assert torch.equal(condition["source"], PAIRS["source"][rows])
        return self.answer(PAIRS["image"][rows], LESION[rows], ORGAN[rows])


def value(answer, size=200):
    def batches():
        for image, source in zip(PAIRS["image"].split(size), PAIRS["source"].split(size), strict=True):
            yield {"image": image, "source": source}

    data = ImageSet("val", "d" * 64, 200, (1, 32, 32), batches)
    metric = Lesions(ContrastLesions(SOURCE))
    (score,) = scores_of_model({"lesions": metric}, Answering(answer), lambda split: data, 0, "raw").values()
    assert (score.protocol.metric, score.better) == ("lesions_kept", "higher")
    return score.value


def without(kinds):
    """Images whose lesions of some kinds look like the middle of the organ."""

    def answer(image, lesion, organ):
        for kind in kinds:
            share, around = lesion[:, kind], organ[:, kind]
            level = (image[:, 0] * around).sum((1, 2)) / around.sum((1, 2))
            hidden = (share > 0).float()[:, None]
            image = (1 - hidden) * image + hidden * level[:, None, None, None]
        return image

    return answer


def test_real_images_keep_all_and_their_sources_none():
    found = value(lambda image, lesion, organ: image, size=13)
    assert found.value == found.details["bright"] == found.details["dark"] == 1
    assert found.details["contrast"] == pytest.approx(1)
    assert found.details["copy"] == 0
    assert found.details["lesions"] == int((LESION.sum((2, 3)) >= 1).sum())
    assert found.draws


@pytest.mark.parametrize(("kinds", "lost"), [([0], "bright"), ([1], "dark"), ([0, 1], None)])
def test_lesions_that_are_painted_over_are_lost(kinds, lost):
    found = value(without(kinds))
    shares = {"bright": 0.0 if 0 in kinds else 1.0, "dark": 0.0 if 1 in kinds else 1.0}
    assert {name: found.details[name] for name in shares} == shares
    assert (found.value == 0) if lost is None else 0.3 < found.value < 0.7


@pytest.mark.parametrize(("factor", "kept"), [(0.6, 1), (0.4, 0), (-0.6, 0)])
def test_half_the_contrast_of_its_sign_is_enough(factor, kept):
    def fainter(image, lesion, organ):
        return without([0, 1])(image, lesion, organ) * (1 - factor) + factor * image

    found = value(fainter)
    assert found.value == pytest.approx(kept, abs=0.05)
    assert found.details["contrast"] == pytest.approx(factor, abs=0.2)  # whose edges are part of the organ


def test_the_shares_are_those_of_the_anatomy_of_a_row():
    drawn = torch.stack([SOURCE.split("val")._drawn(row)[0] for row in (7, 3)])
    shares = anatomy(drawn, 32)[2]
    lesion, organ = ContrastLesions(SOURCE).shares("val", torch.tensor([7, 3]))
    assert torch.equal(lesion, shares[:, [5, 6]])
    assert torch.equal(organ, shares[:, [3, 4]])


def test_other_data_are_refused_and_without_lesions_there_is_no_value():
    with pytest.raises(ValueError, match="source must have lesions, as Contrasts does, got Digits"):
        ContrastLesions(Digits())
    with pytest.raises(ValueError, match="split must be one of train, val, test, got 'valid'"):
        Lesions(ContrastLesions(SOURCE), "valid")
    healthy = ContrastLesions(SOURCE)
    healthy.shares = lambda split, rows: (torch.zeros(len(rows), 2, 32, 32), torch.ones(len(rows), 2, 32, 32))
    data = ImageSet("val", "d" * 64, 200, (1, 32, 32), lambda: iter([PAIRS]))
    metrics = {"lesions": Lesions(healthy)}
    assert not scores_of_model(metrics, Answering(lambda image, *_: image), lambda split: data, 0, "raw")
