"""Scenes of one or two shapes: their pictures, their grammar, and combinations that training never shows."""

import re

import pytest
import torch

from genexp.data.held_out_scenes import which_held_out
from genexp.data.scene_pictures import FACTORS, GROUNDS, KINDS, PLACES, draw_scenes, hides, scenes
from genexp.data.scene_words import describe, judged, understood
from genexp.data.scenes import SceneCaptions, Scenes
from genexp.data.shape_pictures import COLOURS, draw_shapes

RELATED = KINDS.index("related")


def levels(**named):
    return {name: torch.tensor([FACTORS[name].index(named[name]) if name in named else -1]) for name in FACTORS}


def test_every_scene_is_there_once_and_none_hides_a_shape():
    every = scenes()
    rows = torch.stack([every[name] for name in FACTORS], 1)
    assert len(rows.unique(dim=0)) == len(rows) == 21400
    assert every["kind"].bincount().tolist() == [4 * 2 * (6 * 5 - 1), 2 * 4 * 2 * (6 * 5 - 1), 20704]
    assert not hides()[every["colour"], every["background"]].any()
    two = every["count"] == 1
    assert not hides()[every["other_colour"][two], every["background"][two]].any()
    assert (every["other_shape"] >= 0).equal(two)
    same = (every["shape"] == every["other_shape"]) & (every["colour"] == every["other_colour"])
    assert same.equal(every["kind"] == KINDS.index("alike"))


def test_pictures_and_captions_depend_on_their_index_alone():
    long, short = Scenes(16, captions=True), Scenes(16, captions=True, train_images=1000)
    rows = torch.tensor([3, 999, 17])
    some, same = long.split("train").read(rows), short.split("train").read(rows)
    for name, column in some.items():
        assert torch.equal(column, same[name]), name
        assert torch.equal(column[1:2], long.split("train").read(rows[1:2])[name])
    assert long.split("train").fingerprint != short.split("train").fingerprint
    assert not torch.equal(long.split("val").scene, long.split("train").scene[:960])


def test_kinds_and_levels_have_their_shares():
    examples = Scenes(16).split("train")
    kind = scenes()["kind"][examples.scene]
    assert kind.bincount().tolist() == [4800, 4800, 9600]
    found = examples.levels(torch.arange(len(examples)))
    for name in ("shape", "colour", "size", "other_shape", "other_colour", "relation"):
        counts = found[name][kind > 0].bincount()
        assert counts.min() > 0.75 * counts.max(), name  # blue has a ground less
    assert found["background"].unique().tolist() == list(range(5))
    assert examples.place.bincount().min() > 0.9 * len(examples) / len(PLACES)


@pytest.mark.parametrize("image_size", [16, 33, 64])
def test_two_shapes_lie_each_in_its_half(image_size):
    two = understood("a large red square left of a large green circle on white")
    half = image_size // 2
    for relation, axis in (("left of", 3), ("above", 2)):
        for shift, growth in ((0.0, 0.0), (0.05, 0.05), (-0.05, 0.05)):
            moved = torch.full((1, 2, 2), shift), torch.full((1, 2), growth)
            image = draw_scenes(levels(**{**two, "relation": relation}), image_size, None, *moved)
            first, other = image.narrow(axis, 0, half), image.narrow(axis, image_size - half, half)
            assert first[:, 0].min() >= 220  # red and white, and nothing green
            assert other[:, 0].min() == 40
            assert other[0, :, other.shape[2] // 2, other.shape[3] // 2].tolist() == COLOURS[1].tolist()


def test_one_shape_in_the_middle_is_that_of_the_shapes():
    one = levels(count="one", shape="cross", colour="cyan", size="large", background="brown")
    mode = torch.tensor([((3 * 6 + 5) * 2 + 1) * 5 * 4 + 3])
    assert torch.equal(draw_scenes(one, 32), draw_shapes(mode, 32))
    left = draw_scenes(one, 32, torch.tensor([1]))
    assert (left[..., 16:] == GROUNDS[3].view(1, 3, 1, 1)).all()
    assert (left[..., :16] != GROUNDS[3].view(1, 3, 1, 1)).any()


def test_what_is_described_is_understood_whichever_shape_is_named_first():
    every = scenes()
    some = torch.cat([(every["kind"] == kind).nonzero()[:, 0][:: 1 + 40 * (kind == RELATED)] for kind in range(3)])
    for row in some.tolist():
        named = {name: FACTORS[name][int(every[name][row])] for name in FACTORS if every[name][row] >= 0}
        if every["kind"][row] == KINDS.index("alike"):
            del named["relation"]
        texts = {describe(named), describe(named, turned=True)}
        assert len(texts) == 1 + ("relation" in named)
        assert [understood(text) for text in texts] == [named] * len(texts)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a circle", {"count": "one", "shape": "circle"}),
        ("a small red circle on blue",
         {"count": "one", "shape": "circle", "colour": "red", "size": "small", "background": "blue"}),
        ("two crosses", {"count": "two", "shape": "cross", "other_shape": "cross"}),
        ("a square above a blue square on grey",
         {"count": "two", "relation": "above", "shape": "square", "other_colour": "blue", "other_shape": "square",
          "background": "grey"}),
        ("a square below a large square",
         {"count": "two", "relation": "above", "shape": "square", "size": "large", "other_shape": "square"}),
        ("", {}),
    ],
)  # fmt: skip
def test_captions_in_parts_are_understood(text, named):
    assert understood(text) == named


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a purple circle", "must consist of the words a, .*, yellow, got 'purple'"),
        ("one circle", "must consist of the words .* got 'one'"),
        ("two red circle", "must read like 'a small red circle on blue', 'two .* on black', got 'two red circle'"),
        ("a red circles", "must read like .* got 'a red circles'"),
        ("a circle left of two squares", "must read like .* got 'a circle left of two squares'"),
        ("a red small circle", "must read like .* got 'a red small circle'"),
        ("a circle left of a square right of a cross", "must read like .*"),
        ("a blue circle on blue", "must give shapes another colour than the ground, got 'a blue circle on blue'"),
        ("a red cross below a blue square on blue", "must give shapes another colour than the ground, got 'a red"),
        ("two blue crosses on blue", "must give shapes another colour than the ground"),
        ("a red cross above a small red cross",
         "must say two of one colour and shape as in 'two red circles on white', got 'a red cross above"),
    ],
)  # fmt: skip
def test_other_captions_are_refused_by_name(text, told):
    with pytest.raises(ValueError, match=f"^{told}"):
        SceneCaptions().read(["a red circle", text])


@pytest.mark.parametrize(("amount", "of", "number"), [(0.1, "pairs", 28), (40, "pairs", 40), (0.25, "relations", 24)])
def test_training_never_shows_what_is_held_out_but_every_level(amount, of, number):
    source = Scenes(16, held_out=amount, held_out_of=of)
    train = source.split("train")
    assert not source.held_out[train.scene].any()
    every = scenes()
    assert (every["kind"][source.held_out] == RELATED).all()
    first, other = (every[f"{prefix}shape"] * 6 + every[f"{prefix}colour"] for prefix in ("", "other_"))
    related = every["kind"] == RELATED
    if of == "pairs":  # all that shows a pair, either way round, in any relation and size, on any ground
        pairs = torch.minimum(first, other) * 24 + torch.maximum(first, other)
        left_out = pairs[source.held_out].unique()
        assert len(left_out) == number
        assert (torch.isin(pairs, left_out) & related).equal(source.held_out)
    else:
        sides = torch.stack([first * 4 + every["relation"], other * 4 + every["relation"] + 2], 1)
        shown = sides[related & ~source.held_out].unique()
        assert 96 - len(shown) == number
    for name, found in train.levels(torch.arange(len(train))).items():
        counts = found[found >= 0].bincount(minlength=len(FACTORS[name]))
        assert counts.min() > 0.6 * counts.max() or name == "count", name  # a quarter is of one shape


def test_splits_show_what_they_are_asked_for_and_a_seed_says_which():
    assert not torch.equal(which_held_out(0.1, "pairs", 0), which_held_out(0.1, "pairs", 1))
    source = Scenes(16, held_out=0.1, val_shows="held_out", test_shows="both")
    assert source.held_out[source.split("val").scene].all()
    test = source.held_out[source.split("test").scene]
    assert not test[::2].any()
    assert test[1::2].all()
    assert scenes()["kind"][source.split("test").scene[::2]].bincount().tolist() == [240, 240, 480]


def test_what_is_seen_is_asked_of_two_shapes_that_differ_alone():
    source = Scenes(16, captions=True, held_out=0.1, test_shows="both")
    caption = source.split("test").read(torch.arange(64))["caption"]
    kind, seen = scenes()["kind"][source.split("test").scene[:64]], source.seen(source.said(caption))
    assert (seen[1::2] == 0).all()
    assert seen[::2].equal(torch.where(kind[::2] == RELATED, 1, -1))
    assert Scenes(16).seen(source.said(caption)) is None
    pair = source.caption(1, "test").split(" on ")[0]
    parts = SceneCaptions().read([pair, "a circle above a square"])
    assert source.seen(source.said(parts)).tolist() == [0, 1]


def test_a_share_of_training_captions_says_a_part_and_nothing_wrong():
    source = Scenes(16, captions=True, partial=0.5)
    rows = torch.arange(960)
    said, true = source.said(source.split("train").read(rows)["caption"]), source.split("train").levels(rows)
    assert float((said["background"] < 0).float().mean()) == pytest.approx(0.25, abs=0.05)
    for name in FACTORS:
        assert ((said[name] < 0) | (said[name] == true[name])).all(), name
    two = true["count"] == 1
    assert (said["shape"] >= 0).all()
    assert (said["other_shape"][two] >= 0).all()
    whole = source.said(source.split("test").read(rows)["caption"])
    assert (whole["background"] >= 0).all()
    assert source.caption(5, "test") == SceneCaptions().said(source.split("test").read(torch.tensor([5]))["caption"][0])


CIRCLE_AND_SQUARE = understood("a small red circle left of a large blue square on white")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a small red circle left of a large blue square on white", set()),
        ("a large blue square right of a small red circle on white", set()),
        ("a large blue square left of a small red circle on white", {"relation"}),
        ("a blue square above a red circle", {"relation"}),
        ("a red circle left of a green square", {"colour"}),
        ("a red square left of a blue circle", {"shape"}),
        ("a large red circle left of a square on grey", {"size", "background"}),
        ("a red circle", {"count"}),
        ("a blue square", {"count"}),
        ("a green square", {"count", "colour"}),
        ("two red circles", {"shape", "colour"}),
    ],
)
def test_shapes_are_held_against_each_other_in_either_order(text, wrong):
    said = levels(**understood(text))
    found = {name: int(each) for name, each in judged(said, levels(**CIRCLE_AND_SQUARE)).items()}
    assert {name for name, each in found.items() if each == 0} == wrong
    assert (found["relation"] < 0) == (not re.search("left|right|above|below", text))


def test_of_two_that_are_said_one_is_not_enough():
    shown = levels(count="one", shape="circle", colour="red", size="small", background="white")
    found = judged(levels(**CIRCLE_AND_SQUARE), shown)
    assert {name: int(each) for name, each in found.items()} == {
        "count": 0, "relation": 0, "shape": 0, "colour": 0, "size": 0, "background": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"image_size": 8}, "image_size must be at least 16 pixels to tell two shapes apart, got 8"),
        ({"jitter": 0.06}, r"jitter must lie in \[0, 0.05\], where each shape stays in its half, got 0.06"),
        ({"partial": 0.5}, "partial must lie in .0, 1., and be 0 without captions, got 0.5"),
        ({"held_out": -1}, "held_out must be a share below 1 or a whole number of pairs, got -1"),
        ({"held_out": 276}, "held_out must leave every level of every factor, got 276 of 276 pairs: fewer, please"),
        ({"held_out": 300, "held_out_of": "relations"}, "held_out must leave every level .* got 300 of 96 relations"),
        ({"held_out_of": "modes"}, "held_out_of must be one of pairs, relations, got 'modes'"),
        ({"test_shows": "both"}, "test_shows must be all or seen where held_out is 0, got both"),
        ({"val_shows": "new"}, "val_shows must be one of all, seen, held_out, both, got 'new'"),
    ],
)
def test_bad_arguments_are_said(options, told):
    with pytest.raises(ValueError, match=told):
        Scenes(**{"image_size": 16, **options})
