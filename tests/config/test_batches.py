"""Parts of a game that need other batches than those of the data are refused before training."""

import re

import pytest

from genexp.config.check import problems_of

RING = ["experiment=toy/ring8"]
POINTS = ["model=gan", "model/generator=mlp", "model/critic/discriminator=mlp", "data=toy2d", "metrics=none"]
PAIRS = ["experiment=pix2pix/contrasts"]
SINGLE = [*PAIRS, "data.batch_size=1", "model/generator_penalties=[reconstruction,mode_seeking]"]
REFUSED = [
    ([*RING, "model/critic/augmentations=diff_augment"], r"diff_augment: must not stand beside points, .*\[2\]"),
    ([*RING, "model/critic/augmentations=ada"], r"ada: must not stand beside points"),
    ([*POINTS, "model/critic/penalties=consistency"], r"consistency\.\S+: must not stand beside points"),
    (SINGLE, r"mode_seeking: must have a data.batch_size of at least 2, got 1"),
    (
        ["experiment=acgan/digits", "model/critic/penalties=none", "model.critic.discriminator.pack=2"],
        r"discriminator.pack: must be 1 beside an auxiliary classifier",
    ),
    (
        ["experiment=captions/gan", "+model.conditions.caption.left_out=0.1"],
        r"model.conditions.caption.left_out: must be 0 in a game, whose networks are always told, got 0.1",
    ),
]


@pytest.mark.parametrize(("typed", "message"), REFUSED, ids=lambda each: each[0] if isinstance(each, list) else "")
def test_it_is_told_by_its_key(typed, message):
    told = problems_of("train", typed)
    assert any(re.search(message, each) for each in told), told


@pytest.mark.parametrize("typed", [[*RING, "model/critic/augmentations=instance_noise"], PAIRS])
def test_what_goes_together_is_let_through(typed):
    assert not problems_of("train", typed)
