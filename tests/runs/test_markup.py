"""Texts inside tables keep their meaning."""

import csv
import io

import pytest

from genexp.runs.directions import badness
from genexp.runs.markup import (
    csv_text,
    digest_text,
    label_in_plot,
    latex_number,
    latex_text,
    markdown_code,
    markdown_row,
    web_link,
)


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


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1", "-", "+x", "=nan"]
)
def test_no_text_becomes_a_formula_in_a_spreadsheet(text):
    (line,) = csv.reader(io.StringIO(csv_text([["a", text]])))
    assert line == ["a", f"'{text}".replace("\r", r"\r")]


@pytest.mark.parametrize("number", [-1.5, -3, 1e-05, "-1.5", "+2", "-1e-05", "-inf", float("-inf")])
def test_numbers_stay_numbers_in_csv(number):
    (line,) = csv.reader(io.StringIO(csv_text([[number]])))
    assert float(line[0]) == float(number)


def test_a_cell_of_csv_keeps_its_lines_and_loses_what_steers_a_terminal():
    (line,) = csv.reader(io.StringIO(csv_text([['a\nb,"c"', "x\x1b]0;title\x07", "bad\udcff"]])))
    assert line == ['a\nb,"c"', r"x\x1b]0;title\x07", r"bad\udcff"]


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "[here](javascript:alert(1))",
        "![](https://example.org/seen.png)",
        "a|b\n\n# Heading\n- item",
        "`code` &lt;b&gt; \\[x](y)",
        "**a** <https://example.org>",
    ],
)
def test_markdown_shows_a_text_and_does_nothing_with_it(text):
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse("\n".join(map(markdown_row, (["h"], ["--"], [text]))))
    kinds = {inner.type for token in tokens for inner in (token.children or [])}
    assert kinds <= {"text", "text_special", "strong_open", "strong_close"}
    assert [token.type for token in tokens].count("td_open") == 1


def test_code_in_markdown_holds_any_text():
    from markdown_it import MarkdownIt

    for text in ("fd < 3", "a `b` c", "``", "<b>", "`"):
        (inline,) = [each for each in MarkdownIt().parse(f"- {markdown_code(text)} tail") if each.type == "inline"]
        assert [(each.type, each.content) for each in inline.children] == [("code_inline", text), ("text", " tail")]


def test_only_addresses_of_the_web_become_links():
    assert web_link("https://arxiv.org/abs/2010.02502") == "https://arxiv.org/abs/2010.02502"
    for link in ("javascript:alert(1)", 'https://a"onclick=x', "https://a>\n<script>", "file:///etc/hosts", "", None):
        assert web_link(link) is None


def test_a_comment_in_latex_stays_one_line():
    assert latex_text("a\n\\input{x}") == r"a\textbackslash{}n\textbackslash{}input\{x\}"


def test_dollar_signs_are_no_mathematics_in_plots():
    from matplotlib.figure import Figure

    figure = Figure()
    figure.text(0, 0, label_in_plot(r"$\undefined$ and $5"))
    figure.savefig(io.BytesIO(), format="svg")
