"""Combinations that training never shows, and captions that say a part of what there is."""

import pytest
import torch

from genexp.data.held_out import held_out_modes
from genexp.data.shape_pictures import FACTORS, MODES, factor_levels
from genexp.data.shape_words import understood
from genexp.data.shapes import ShapeCaptions, Shapes


@pytest.mark.parametrize(("amount", "of", "modes"), [(0.1, "modes", 96), (200, "modes", 200), (6, "pairs", 240)])
def test_training_never_shows_what_is_held_out_but_every_level(amount, of, modes):
    source = Shapes(16, held_out=amount, held_out_of=of, train_images=1920)
    assert int(source.held_out.sum()) == modes
    train = source.split("train").mode
    assert len(train) == 1920
    assert not source.held_out[train].any()
    assert len(train[: MODES - modes].unique()) == MODES - modes
    for name, levels in factor_levels(train).items():
        counts = levels.bincount(minlength=len(FACTORS[name]))
        assert counts.min() > 0.75 * counts.max(), name
    assert source.held_out[source.split("test").mode].float().mean() == pytest.approx(modes / MODES, abs=0.001)


def test_pairs_are_held_out_with_all_that_shows_them():
    left_out, levels = held_out_modes(6, "pairs"), factor_levels(torch.arange(MODES))
    pairs = (levels["shape"] * 6 + levels["colour"])[left_out]
    assert (pairs.bincount()[pairs.unique()] == 40).all()
    assert len(pairs.unique()) == 6
    assert (levels["colour"][left_out].bincount() == 40).all()


def test_a_seed_says_which_and_splits_show_what_they_are_asked_for():
    assert torch.equal(held_out_modes(0.1), held_out_modes(0.1))
    assert not torch.equal(held_out_modes(0.1), held_out_modes(0.1, seed=1))
    source = Shapes(16, held_out=0.1, val_shows="held_out", test_shows="both")
    assert source.held_out[source.split("val").mode].all()
    test = source.held_out[source.split("test").mode]
    assert not test[::2].any()
    assert test[1::2].all()
    assert len(source.split("test").mode[1::2].unique()) == 96


def test_data_without_held_out_combinations_are_as_ever():
    usual, asked = Shapes(16).split("train"), Shapes(16, held_out=0, val_shows="seen").split("train")
    assert torch.equal(usual.mode, asked.mode)
    assert torch.equal(usual.shift, asked.shift)
    assert Shapes(16).seen({name: torch.zeros(1, dtype=torch.int64) for name in FACTORS}) is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"held_out": 1.5}, "held_out must be a share below 1 or a whole number of modes, got 1.5"),
        ({"held_out": 959}, "held_out must leave every level of every factor, at most 954 of 960 modes, got 959"),
        ({"held_out": 19, "held_out_of": "pairs"}, "at most 18 of 24 pairs, got 19"),
        ({"held_out_of": "words"}, "held_out_of must be one of modes, pairs, got 'words'"),
        ({"test_shows": "both"}, "test_shows must be all or seen where held_out is 0, got both"),
        ({"val_shows": "new"}, "val_shows must be one of all, seen, held_out, both, got 'new'"),
        ({"partial": 0.5}, "partial must lie in .0, 1., and be 0 without captions, got 0.5"),
    ],
)
def test_what_cannot_be_held_out_is_said(options, told):
    with pytest.raises(ValueError, match=told):
        Shapes(16, **options)


def test_a_share_of_training_captions_says_a_part_and_nothing_wrong():
    source = Shapes(16, captions=True, partial=0.5, train_images=960)
    batch = source.split("train").read(torch.arange(960))
    said, true = source.said(batch["caption"]), source.factor_levels("train")
    unsaid = torch.stack([said[name] < 0 for name in ("size", "colour", "position", "background")], 1)
    assert float(unsaid.float().mean()) == pytest.approx(0.25, abs=0.03)
    assert float(unsaid.any(1).float().mean()) == pytest.approx(0.5 * 15 / 16, abs=0.05)
    assert torch.equal(said["shape"], true["shape"])
    for name in FACTORS:
        assert ((said[name] < 0) | (said[name] == true[name])).all()
    for index in (0, 1, 2, 500):
        assert torch.equal(ShapeCaptions().read(source.caption(index))[0], batch["caption"][index])
    whole = source.said(source.split("test").read(torch.arange(50))["caption"])
    assert all((levels >= 0).all() for levels in whole.values())


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("a red circle", {"colour": "red", "shape": "circle"}),
        ("a small cross on white", {"size": "small", "shape": "cross", "background": "white"}),
        ("a square at the top left on a grey background",
         {"shape": "square", "position": "top left", "background": "grey"}),
        ("a triangle in the centre", {"shape": "triangle", "position": "centre"}),
        ("", {}),
    ],
)  # fmt: skip
def test_captions_are_understood(text, levels):
    assert understood(text) == levels


@pytest.mark.parametrize("text", ["a red", "circle", "a circle on blue", "a red blue cross", "a cross at the centre"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=f"caption must read like 'a small red .* may be missing, got '{text}'"):
        understood(text)


def test_partial_captions_are_of_seen_combinations_where_training_shows_one_of_them():
    source = Shapes(16, captions=True, held_out=6, held_out_of="pairs")
    pair = factor_levels(source.held_out.nonzero()[:1, 0])
    nothing = torch.tensor([-1])
    said = {name: nothing for name in FACTORS} | {"shape": pair["shape"]}
    assert source.seen(said).all()
    assert not source.seen(said | {"colour": pair["colour"]}).any()
