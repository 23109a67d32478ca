"""Some classes of a labelled source alone: its own images of them, renumbered, in memory or streamed."""

import pytest
import torch

from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.config.instantiate import build


def data(*typed, name="digits"):
    return build(compose("train", [f"data={name}", "data.cache_dir=null", *typed]).data)


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_they_are_the_images_of_the_classes_with_labels_in_the_given_order(in_memory):
    every = data().stored("train").examples.read(torch.arange(1197))
    module = data("data.classes=[7,5,9]", "data.num_classes=3", f"data.in_memory={in_memory}")
    some = module.stored("train").examples
    found = some.read(torch.arange(len(some)))
    rows = torch.isin(every["label"], torch.tensor([7, 5, 9]))
    assert torch.equal(found["image"], every["image"][rows])
    assert torch.equal(torch.tensor([7, 5, 9])[found["label"]], every["label"][rows])
    assert module.label_counts("train") == [int((every["label"] == each).sum()) for each in (7, 5, 9)]
    assert module.classes == ("7", "5", "9")
    assert module.described()[-1] == "of these the classes 7, 5, 9 alone"
    assert sum(len(batch["label"]) for batch in module.eval_loader("test")) == len(module.stored("test").examples)


def test_digest_and_fingerprint_are_of_these_classes():
    digests = {each: data(f"data.classes=[{each}]", "data.num_classes=2").digest("test") for each in ("5,6", "6,5")}
    assert len({*digests.values(), data().digest("test")}) == 3
    one, other = (data(f"data.classes=[{each}]", "data.num_classes=null").stored("val").examples for each in "56")
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["data.classes=[5,x]"], r"classes must be names of the source's classes \(0, 1, 2, 3, 4, ...\), got 'x'"),
        (["data.classes=[5,5]"], r"classes must name each class once, and one at least, got \['5', '5'\]"),
        (["data.classes=[5,6]"], "num_classes must be 2, the number of classes in classes, got 10"),
    ],
)
def test_classes_that_are_not_there_are_refused(typed, message):
    with pytest.raises(ValueError, match=message):
        data(*typed).setup()


def test_a_source_without_labels_has_no_classes_to_choose():
    with pytest.raises(ValueError, match=r"classes must be null for a source without labels, got \['a'\]"):
        data("data.classes=[a]", "data.source.kind=swiss_roll", name="toy2d").setup()


def test_numbers_in_a_file_are_no_names():
    (told,) = problems_of("train", ["data=digits", "+data.classes={a: 1}"]) or [""]
    assert "data.classes: must be a list of texts or null" in told
