"""What a model is told: named conditions, left out by name and by sample."""

from types import SimpleNamespace

import pytest
import torch

from genexp.conditioning.base import Conditioning, joined
from genexp.conditioning.kinds import Classes, Values, Words
from genexp.data.word_lists import UNKNOWN, WordList
from genexp.inference.conditions import read_of

COLOURS = Words(["red", "green", "blue"], 2, left_out=0.4)
BOTH = Conditioning.of(10, {"caption": COLOURS}, left_out=0.2)


def rows(num):
    return {"label": torch.arange(num) % 10, "caption": torch.ones(num, 2, dtype=torch.int64)}


def test_every_part_is_left_out_of_its_own_share_of_samples_by_itself():
    torch.manual_seed(0)
    told = rows(20_000)
    spared = BOTH.sparing(told)
    no_label, no_caption = spared["label"] == 10, (spared["caption"] == 0).all(1)
    for dropped, share in ((no_label, 0.2), (no_caption, 0.4), (no_label & no_caption, 0.08)):
        assert float(dropped.double().mean()) == pytest.approx(share, abs=0.01)
    assert torch.equal(spared["label"][~no_label], told["label"][~no_label])
    assert torch.equal(spared["caption"][~no_caption], told["caption"][~no_caption])


def test_what_is_not_told_stands_there_as_left_out_in_the_order_of_the_model():
    whole = BOTH.whole({"caption": COLOURS.read("blue red")}, 1, "cpu")
    assert [(name, each.tolist()) for name, each in whole.items()] == [("label", [10]), ("caption", [[3, 1]])]
    without = BOTH.without(rows(2), ["caption"])
    assert (without["label"].tolist(), without["caption"].tolist()) == ([0, 1], [[0, 0], [0, 0]])
    assert joined(rows(1), rows(2))["label"].tolist() == [0, 0, 1]
    assert Conditioning().whole({}, 3, "cpu") == {}


def test_a_person_gives_conditions_by_name():
    read = Conditioning.of(10, {"caption": COLOURS, "size": Values((2,))}).read
    given = read({"label": 3, "caption": "Green", "size": [0.5, 2]})
    assert {name: each.tolist() for name, each in given.items()} == {
        "label": [3],
        "caption": [[2, 0]],
        "size": [[0.5, 2.0]],
    }
    for typed, told in (
        ({"label": 10}, r"label must lie in \[0, 10\), got 10"),
        ({"label": "three"}, r"label must lie in \[0, 10\), got three"),
        ({"caption": "pink"}, "caption must consist of the words red, green, blue, got 'pink'"),
        ({"caption": "red red red"}, "caption must have at most 2 words, got 3"),
        ({"size": [1]}, r"size must be 2 finite numbers, got \[1\]"),
        ({"size": [True, 32]}, r"size must be 2 finite numbers, got \[True, 32\]"),
        ({"size": [32, float("nan")]}, r"size must be 2 finite numbers, got \[32, nan\]"),
        ({"colour": "red"}, "colour must be null for a model of 10 classes, caption, size, got red"),
    ):
        with pytest.raises(ValueError, match=told):
            read(typed)


def test_a_batch_that_does_not_say_it_is_refused():
    for change, told in (
        ({"caption": None}, r"batch must have caption for a model of 10 classes, caption, got \['label'\]"),
        ({"caption": torch.zeros(3, 5, dtype=torch.int64)}, r"caption must be integers of shape \[2\] a sample, got"),
        ({"label": torch.zeros(3)}, r"label must be integers of shape \[\] a sample, got torch.float32"),
    ):
        batch = {name: each for name, each in {**rows(3), **change}.items() if each is not None}
        with pytest.raises(ValueError, match=told):
            BOTH.told(batch)


def test_kinds_out_of_range_and_names_that_batches_use_are_refused():
    for make, told in (
        (lambda: Classes(0), "num_classes must be at least 1 or null, got 0"),
        (lambda: Classes(2, 1.0), r"left_out must lie in \[0, 1\), got 1"),
        (lambda: Words(["a", "a"], 2), r"words must be a list of different words, got \['a', 'a'\]"),
        (lambda: Words(["a"], 0), "length must be at least 1 word, got 0"),
        (lambda: Values((0,)), r"shape must hold sizes of at least 1, got \[0\]"),
        (lambda: Conditioning({"noise": Values((2,))}), "conditions must have names other than image, .*, got noise"),
    ):
        with pytest.raises(ValueError, match=told):
            make()


def test_models_are_told_alike_whatever_training_left_out():
    assert Conditioning.of(10, left_out=0.1) == Conditioning.of(10)
    assert Conditioning.of(10) != Conditioning.of(9)
    assert (str(BOTH), str(Conditioning())) == ("10 classes, caption", "no conditions")
    assert (BOTH.optional, Conditioning.of(10).optional) == (("label", "caption"), ())


def test_words_of_a_typed_caption_that_are_read_as_unknown_are_told(capsys):
    run = SimpleNamespace(config=SimpleNamespace(data=SimpleNamespace(shape=[3, 8, 8])))
    for unknown, words in (("word", ["a", "bird", UNKNOWN]), ("error", ["a", "bird"])):
        conditioning = Conditioning({"caption": WordList(words, unknown=unknown)})
        read_of(run, conditioning, {"caption": "a bird"})
        assert capsys.readouterr().err == ""
    conditioning = Conditioning({"caption": WordList(["a", "bird", UNKNOWN], unknown="word")})
    read_of(run, conditioning, {"caption": ["an ostrich", "a magenta bird"]})
    assert capsys.readouterr().err == "caption     read as unknown: an, ostrich, magenta\n"
