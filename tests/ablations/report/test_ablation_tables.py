"""The tables of an ablation: what stands where, and what never stands together."""

import csv
import io
import itertools
import math
import random
import statistics
from dataclasses import replace

import pytest
from ablation_studies import FD, PROTOCOL, ddim, searched, study, value

from genexp.ablations.report.budget import budget_curves, expected_best
from genexp.ablations.report.latex_csv import as_csv, as_latex
from genexp.ablations.report.markdown import as_markdown, budget_rows
from genexp.ablations.report.protocols import samplers_text
from genexp.ablations.report.study import Reported
from genexp.ablations.report.table_blocks import blocks_of, entry_text
from genexp.ablations.report.values import metric_of, missing_values
from genexp.ablations.report.verdicts import judge_all
from genexp.ablations.report.wording import table_note
from genexp.reports.columns import MixedProtocols


def cell(block, row, head):
    r, c = block.rows.index(row), block.heads.index(head)
    return entry_text(block.entries[r][c], block.formats[c])


def test_two_axes_make_one_block_a_value_with_the_best_marked(tmp_path):
    each = ddim(tmp_path)
    fd, recall, reported = blocks_of(each)
    values = [v.value for v in each.values if v.key == FD and v.labels == (("eta", "1"), ("steps", "20"))]
    mean, std = statistics.fmean(values), statistics.stdev(values)
    assert (fd.heading, recall.heading) == ("fd ↓", "recall ↑")
    assert cell(fd, ["1"], "steps=20") == f"{mean:.3f} ± {std:.3f} (3)"
    assert fd.best == {(0, 3)}
    assert (len(fd.rows), len(fd.heads)) == (3, 4)
    assert fd.note == "Real images (400): 0.520"
    assert reported.heads[-1] == "steps=1000"
    assert cell(reported, ["0"], "steps=1000") == "4"
    assert not reported.best


def test_other_studies_have_a_row_for_every_variant():
    axes = {"a": ["0", "1"], "b": ["x", "y"], "c": ["u", "v"]}
    each = study(axes, lambda place, seed: float(place["a"]) + (place["b"] == "x") + seed)
    (block,) = blocks_of(each)
    assert block.stub == ["a", "b", "c"]
    assert len(block.rows) == 8
    assert cell(block, ["1", "x", "v"], "fd ↓") == "3.000 ± 1.000 (3)"
    assert block.best == {(2, 0), (3, 0)}
    assert block.floors is None


def test_with_a_search_the_axes_that_are_left_count():
    (block,) = blocks_of(searched())
    assert block.stub == ["penalty", "best lr"]
    assert block.rows == [["none", "1e-3"], ["gradient", "1e-3"], ["r1", "1e-3"]]
    assert block.best == {(2, 0)}


def test_a_row_of_a_search_is_one_setting_and_all_its_values():
    axes = {"lr": ["a", "b"]}
    recall = FD.replace("fd", "recall")
    values = []
    for lr, fds, recalls in (("a", (1.0, 9.0, 9.0), (0.9, 0.9, 0.9)), ("b", (4.0, 4.0, 4.0), (0.1, 0.1, 0.1))):
        for seed in range(3):
            values.append(value((("lr", lr),), seed, fds[seed], better="lower"))
            more = {"better": "higher", "protocol": PROTOCOL | {"metric": "recall"}}
            values.append(value((("lr", lr),), seed, recalls[seed], recall, **more))
    each = study(axes, lambda place, seed: None, search="lr", metrics=["fd", "recall"], values=values)
    (block,) = blocks_of(each)
    assert block.rows == [["all", "b"]]
    assert [entry.mean for entry in block.entries[0]] == pytest.approx([4.0, 0.1])


def test_means_that_print_alike_are_bold_together_and_no_variant_with_a_diverged_seed_is():
    numbers = {"0": 1.00001, "1": 1.00002, "2": 5.0, "3": 0.1}
    each = study({"a": list(numbers)}, lambda p, seed: math.nan if (p["a"], seed) == ("3", 1) else numbers[p["a"]])
    (block,) = blocks_of(each)
    assert block.best == {(0, 0), (1, 0)}
    assert cell(block, ["3"], "fd ↓") == "0.100 ± 0.000 (2, 1 diverged)"
    assert "(2, 1 diverged)" in as_latex(each)


def test_real_data_of_another_number_are_said_to_be_so(tmp_path):
    each = ddim(tmp_path)
    assert "real images are of 400 that were held out, all others of 2,000 that were generated" in table_note(each)
    alike = replace(each, values=[replace(v, floor_images=2000) for v in each.values])
    assert "held out" not in table_note(alike)
    points = [replace(v, floor_images=7, protocol=v.protocol | {"extractor": "coordinates"}) for v in each.values]
    text = as_markdown(replace(each, values=points), [])
    assert "Real points (7): 0.520" in text
    assert "2,000 generated points against 1,438 real points" in text


def test_samplers_are_told_by_what_they_share_and_what_varies():
    recorded = [
        "DDIM(clip=True, eta=0, steps=5)",
        "DDIM(clip=True, eta=1, steps=5)",
        "Latent()",
        "Map(a=[1, 2], b='c')",
    ]
    assert samplers_text(recorded) == ["DDIM(clip=True, steps=5; eta by variant)", "Latent()", "Map(a=[1, 2], b='c')"]
    guided = [f"DDIM(guidance=Interval(high=2.0, inside=ClassifierFree(scale={i}), low=0.2), steps=5)" for i in (1, 2)]
    assert samplers_text(guided) == ["DDIM(steps=5; guidance by variant)"]
    assert samplers_text(guided[:1]) == guided[:1]
    told = "DDIM(steps=5, guidance=ClassifierFree(scale=2.0)), told as test"
    assert samplers_text([told]) == [told]
    assert samplers_text([told, "DDIM(steps=4)"]) == [told, "DDIM(steps=4)"]
    assert samplers_text(["Base"]) == ["Base()"]


def test_stages_are_described_without_the_names_of_their_runs():
    base, noisy = "e7-x@12ab by DDIM(clip=Dynamic(percentile=0.9), steps=5)", "DDIM(steps=4), told at level 0.1"
    recorded = [f"Cascade({base}; m2@34cd by {noisy})", f"Cascade({base}; b@0f by DDIM(steps=9), told at level 0.1)"]
    told = "Cascade(DDIM(clip=Dynamic(percentile=0.9), steps=5); DDIM(steps by variant), told at level 0.1)"
    assert samplers_text(recorded) == [told]
    (both,) = samplers_text([recorded[0], f"Cascade({base}; b@0f by DDIM(steps=4))"])
    assert both.endswith(f"; {noisy} or DDIM(steps=4))")
    halves = "Ensemble(0.5 of a-1@12ab by DDIM(eta=0, steps=5); 0.5 of b-2@34cd by DDIM(eta=0, steps=5))"
    assert samplers_text([halves]) == ["Ensemble(0.5 of DDIM(eta=0, steps=5); 0.5 of DDIM(eta=0, steps=5))"]


def test_no_best_where_all_are_equal_or_no_direction_is_known():
    axes = {"a": ["0", "1"]}
    assert blocks_of(study(axes, lambda place, seed: 1.0))[0].best == set()
    assert blocks_of(study(axes, lambda place, seed: float(place["a"]), key="val/odd", better=None))[0].best == set()


def test_a_single_seed_has_no_spread_and_a_diverged_variant_is_nan_and_never_best():
    one = study({"a": ["0", "1"]}, lambda place, seed: float(place["a"]) + 1, seeds=[4])
    assert cell(blocks_of(one)[0], ["0"], "fd ↓") == "1.000 (1)"
    odd = study({"a": ["0", "1", "2"]}, lambda place, seed: math.nan if place["a"] == "0" else float(place["a"]) + seed)
    (block,) = blocks_of(odd)
    assert cell(block, ["0"], "fd ↓") == "diverged (3)"
    assert block.best == {(1, 0)}


def test_reported_numbers_keep_their_digits_and_stay_apart(tmp_path):
    each = ddim(tmp_path)
    variants = {(("eta", "0"), ("steps", "10")): 13.36, (("eta", "1"),): 1.5}
    each = replace(each, reported=[Reported("FID", "A paper", "Its protocol", variants, {(("eta", "1"),): 0.25})])
    *measured, reported = blocks_of(each)
    assert reported.rows == [["eta=0,steps=10"], ["eta=1"]]
    assert cell(reported, ["eta=0,steps=10"], "FID") == "13.36"
    assert cell(reported, ["eta=1"], "FID") == "1.5 ± 0.25"
    assert all(entry.n == 3 for block in measured for row in block.entries for entry in row)
    text = as_markdown(each, [])
    assert text.index("13.36") > text.index("## Reported")
    assert "13.36" not in text[: text.index("## Reported")]


def test_markdown_tables_are_regular_and_all_sections_are_there(tmp_path):
    each = ddim(tmp_path, lost={((("eta", "0"), ("steps", "10")), 1)})
    each = replace(each, notes=["eta=0,steps=10 seed 1: training failed"])
    text = as_markdown(each, judge_all(each))
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads == [
        f"# {each.title}", "## Measured", "### fd ↓", "### recall ↑", "## Reported", "### FID",
        "## Claims", "## How it was measured", "## What is missing", "## Remarks", "## Origin",
    ]  # fmt: skip
    assert "no value of fd, recall for eta=0,steps=10, seed 1" in text
    assert "training failed" in text
    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "6 from the literature: 3 hold, 2 fail, 1 is undecided." in text
    assert "2,000 generated images against 1,438 real images (train split, digest 89abcdef)" in text
    assert "drawn with DDIM(eta, steps by variant)" in text
    assert "real images: 400 that were held out" in text


def test_latex_rows_have_as_many_cells_as_columns_and_names_are_escaped():
    axes = {"lr_rate": ["1_a", "50%"], "b": ["x"], "c": ["y"]}
    each = study(axes, lambda place, seed: 1e-6 * (1 + seed) * (1 + len(place["lr_rate"])))
    text = as_latex(each)
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count(" & ") for line in rows} == {3}
    assert r"lr\_rate" in text
    assert r"50\%" in text
    assert r"\cdot 10^{-6}" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1


def test_csv_holds_every_number_in_full_and_reported_ones_as_their_own_rows(tmp_path):
    each = ddim(tmp_path)
    rows = list(csv.DictReader(io.StringIO(as_csv(each))))
    measured = [row for row in rows if row["kind"] == "measured"]
    assert [float(row["value"]) for row in measured] == [v.value for v in each.values]
    assert [int(row["seed"]) for row in measured] == [v.seed for v in each.values]
    digests = {metric: {row["protocol"] for row in measured if row["metric"] == metric} for metric in ("fd", "recall")}
    assert all(len(found) == 1 and len(*found) == 8 for found in digests.values())
    assert digests["fd"] != digests["recall"]
    assert len({row["protocol_sampler"] for row in measured}) == 12
    reported = [row for row in rows if row["kind"] == "reported"]
    assert len(reported) == 10
    assert {row["source"] for row in reported} == {"An invented paper (2021), Table 1"}
    assert {row["seed"] for row in reported} == {""}


def test_axes_may_be_called_like_other_columns():
    each = study({"sampler": ["ddim", "ddpm"]}, lambda place, seed: 1.0 + seed)
    header, first, *_ = csv.reader(io.StringIO(as_csv(each)))
    assert header[:3] == ["kind", "sampler", "metric"]
    assert first[1] == "ddim"


def test_a_table_refuses_values_of_two_protocols():
    each = study({"a": ["0", "1"]}, lambda place, seed: 1.0 + seed)
    labels = each.values[0].labels
    other = value(labels, 7, 1.0, protocol=PROTOCOL | {"resize": "pil_clean"})
    with pytest.raises(MixedProtocols, match="resize is none for a=0"):
        blocks_of(replace(each, values=[*each.values, other]))


def test_what_is_missing_is_named_by_variant_seed_and_value():
    each = study({"a": ["0", "1"]}, lambda place, seed: None if place["a"] == "1" and seed else 1.0)
    each = replace(each, metrics=["fd", "recall"])
    assert missing_values(each) == ["no value of recall at all", "no value of fd for a=1, seeds 1, 2"]


def test_the_expected_best_is_the_mean_over_all_choices_of_settings():
    random.seed(0)
    values = [random.gauss(0, 1) for _ in range(6)]
    for best, badness in ((min, lambda v: v), (max, lambda v: -v)):
        curve = expected_best(values, badness)
        for k in range(1, 7):
            choices = list(itertools.combinations(values, k))
            assert curve[k - 1] == pytest.approx(statistics.fmean(best(each) for each in choices))


def test_a_diverged_setting_leaves_open_what_few_settings_give():
    assert expected_best([math.nan, 3.0, 1.0, math.nan], lambda v: v)[:2] == [None, None]
    assert expected_best([math.nan, 3.0, 1.0, math.nan], lambda v: v)[2:] == pytest.approx([1.5, 1.0])
    each = searched()
    none, *others = budget_curves(each, metric_of(each, "fd"))
    assert none.means[0] is None
    assert none.means[1] is not None
    assert all(None not in curve.means and curve.means == sorted(curve.means, reverse=True) for curve in others)
    _, head, rows = budget_rows(each)
    assert head == ["k", "1", "2", "3", "4", "5"]
    assert rows[0][1] == "–"
    values = {(v.labels, v.seed): v.value for v in each.values}
    best = [min(values[(("penalty", "r1"), ("lr", lr)), seed] for lr in each.axes["lr"]) for seed in each.seeds]
    assert others[1].means[-1] == pytest.approx(statistics.fmean(best))
    assert others[1].ranges[-1] == (min(best), max(best))
