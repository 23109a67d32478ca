"""Texts inside tables keep their meaning."""

import pytest

from genexp.reports.directions import badness
from genexp.reports.markup import digest_text, latex_number, latex_text, markdown_row


@pytest.mark.parametrize(
    ("value", "text"),
    [("0a" * 32, "0a0a0a0a"), ("z" * 64, "z" * 64), (None, "not recorded"), (500, "500"), ("train", "train")],
)
def test_digests_alone_are_cut_short(value, text):
    assert digest_text(value) == text


def test_characters_of_the_markup_are_escaped():
    assert markdown_row(["a|b", "c"]) == r"| a\|b | c |"
    assert latex_text("a_b & 5%–6%") == r"a\_b \& 5\%--6\%"
    assert latex_number("1.20e-05") == r"1.20 \cdot 10^{-5}"
    assert latex_number("3e+12") == r"3 \cdot 10^{12}"


@pytest.mark.parametrize(("better", "best"), [("lower", 1.0), ("higher", 9.0), ("reference", 4.0)])
def test_badness_is_smallest_at_the_best_value(better, best):
    assert min((1.0, 4.0, 9.0), key=badness(better, (3.0, 4.0))) == best


def test_without_a_direction_nothing_is_best():
    assert badness(None, (3.0, 4.0)) is None
    assert badness("reference", None) is None
