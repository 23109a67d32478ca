"""Guidance with a strength for every condition, and away from what nobody wants: exact, and in one call."""

import pytest
import torch

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.conditioning.kinds import Classes, Values, Words
from genexp.diffusion.schedules import Cosine
from genexp.evaluation.protocol import describe
from genexp.sampling.ddim import DDIM
from genexp.sampling.guidance import ClassifierFree
from genexp.sampling.per_condition import PerCondition

WORDS = Words(["red", "blue"], length=2, left_out=0.1)


class Sums:
    """A denoiser that says x plus what each of its conditions is, and how large its batches were."""

    image_shape, schedule = (1, 2, 2), Cosine()
    conditioning = Conditioning({"label": Classes(3, 0.1), "caption": WORDS, "size": Values([1])})

    def __init__(self):
        self.batches = []

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        self.batches.append(len(x_t))
        whole = self.conditioning.whole(condition, len(x_t), "cpu")
        told = 10.0 * whole["label"] + 100.0 * whole["caption"].sum(1) + 1000.0 * whole["size"][:, 0]
        return x_t + told.view(-1, 1, 1, 1)


X, T = torch.randn(2, 1, 2, 2), torch.tensor([5, 600])
TOLD = {"label": torch.tensor([0, 2]), "caption": torch.tensor([[1, 2], [2, 0]]), "size": torch.tensor([[0.5], [2.0]])}


def guided(scales, negative=None, told=TOLD):
    model = Sums()
    return PerCondition(scales, negative)(model)(X, T, told), model.batches


def test_all_at_one_and_all_at_nought_are_exact_and_one_evaluation():
    made, batches = guided({"label": 1.0, "caption": 1.0})
    assert torch.equal(made, Sums()(X, T, TOLD))
    assert batches == [2]
    made, batches = guided({"label": 0.0, "caption": 0.0})
    assert torch.equal(made, Sums()(X, T, {"size": TOLD["size"]}))
    assert batches == [2]


def test_strengths_add_what_each_condition_adds_given_those_before_it():
    made, batches = guided({"label": 2.0, "caption": 3.0})
    bare, label, both = (
        Sums()(X, T, {name: TOLD[name] for name in names})
        for names in (["size"], ["size", "label"], ["size", "label", "caption"])
    )
    torch.testing.assert_close(made, bare + 2 * (label - bare) + 3 * (both - label))
    assert batches == [6]
    made, batches = guided({"label": 1.0, "caption": 3.0})
    torch.testing.assert_close(made, label + 3 * (both - label))
    assert batches == [4]


def test_equal_strengths_are_classifier_free_guidance_over_all():
    made, batches = guided({"label": 2.5, "caption": 2.5})
    other = ClassifierFree(2.5, over=["label", "caption"])(Sums())(X, T, TOLD)
    torch.testing.assert_close(made, other)
    assert batches == [4]


def test_a_negative_stands_in_the_place_of_nothing():
    away = {"caption": "red red"}
    instead = {**TOLD, "caption": torch.tensor([[1, 1], [1, 1]])}
    told, bare = Sums()(X, T, TOLD), Sums()(X, T, instead)
    made = ClassifierFree(3.0, over=["caption"], negative=away)(Sums())(X, T, TOLD)
    torch.testing.assert_close(made, bare + 3 * (told - bare))
    assert torch.equal(ClassifierFree(1.0, over=["caption"], negative=away)(Sums())(X, T, TOLD), told)
    assert torch.equal(ClassifierFree(0.0, over=["caption"], negative=away)(Sums())(X, T, TOLD), bare)
    made, _ = guided({"label": 2.0, "caption": 3.0}, away)
    neither = Sums()(X, T, {"size": TOLD["size"], "caption": instead["caption"]})
    torch.testing.assert_close(made, neither + 2 * (bare - neither) + 3 * (told - bare))


def test_protocols_say_strengths_and_negatives():
    plain = describe(ClassifierFree(2.0))
    assert plain == "ClassifierFree(scale=2.0)"
    assert describe(ClassifierFree(2.0, negative={"caption": "red"})) != plain
    assert describe(PerCondition({"label": 2})) != describe(PerCondition({"label": 3}))


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (PerCondition({"size": 2.0}), "model.conditions.size.left_out must be above 0 in training"),
        (PerCondition({"colour": 2.0}), "scales must be of conditions of a model of .*, got colour"),
        (
            PerCondition({"label": 2.0}, {"caption": "red"}),
            "negative.caption must be of a guided condition, label, got 'red'",
        ),
        (
            ClassifierFree(2.0, ["caption"], negative={"caption": "green"}),
            "negative.caption must consist of the words red, blue",
        ),
        (ClassifierFree(2.0, ["caption"], negative={"caption": ["red", "blue"]}), "must be one for all samples, got 2"),
    ],
    ids=["never_left_out", "unknown", "unguided", "words", "several"],
)
def test_what_does_not_fit_the_model_is_refused(part, told):
    with pytest.raises(ValueError, match=told):
        DDIM(guidance=part).require(Sums())


def test_strengths_of_nothing_are_refused():
    with pytest.raises(ValueError, match="scales must hold the strength of at least one condition, got none"):
        PerCondition({})
    with pytest.raises(ValueError, match="caption must be given for classifier-free guidance of several strengths"):
        guided({"label": 2.0, "caption": 3.0}, told={"label": TOLD["label"]})
