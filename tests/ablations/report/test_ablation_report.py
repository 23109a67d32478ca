"""The files of a report: plots, samples, the page, what is published, and the list of all ablations."""

import base64
import csv
import io
import json
import logging
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from ablation_studies import ddim, labels_of, searched, study
from markdown_it import MarkdownIt
from PIL import Image

from genexp.ablations.report.claims_file import CLAIMS, read_claims
from genexp.ablations.report.interval import interval_bar
from genexp.ablations.report.latex_csv import as_csv
from genexp.ablations.report.plots import _metric_figure, numeric_axis
from genexp.ablations.report.sample_grids import smaller, tile_ends
from genexp.ablations.report.study import Paper, Reported
from genexp.ablations.report.values import metric_of
from genexp.ablations.report.verdicts import judge, judge_all
from genexp.ablations.report.write import DEFAULT_SCALE, PUBLISHED, TABLE, publish, write_index, write_report

LOST = {((("eta", "1"), ("steps", "50")), 2)}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    each = ddim(folder / "runs", LOST)
    each = replace(each, remarks="Less than <b>that</b> & more")
    return each, folder / "out", write_report(each, folder / "out")


def test_all_files_are_written_and_nothing_else(written):
    each, folder, paths = written
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {path.relative_to(folder).as_posix() for path in paths}
    assert {"table.md", "table.tex", "table.csv", "claims.json", "index.html", "plots/fd.png"} <= found
    assert len([name for name in found if name.startswith("samples/")]) == 12
    for labels, files in each.pictures.items():
        name = ",".join("=".join(pair) for pair in labels)
        assert (folder / f"samples/{name}.png").read_bytes() == files[0].read_bytes()


def test_a_second_report_takes_away_what_the_first_alone_had(tmp_path):
    axes = {"a": ["0", "1"]}
    one = study(axes, lambda place, seed: 1.0 + seed)
    two = study(axes, lambda place, seed: 1.0 + seed, key="recall/x@1", better="higher")
    write_report(one, tmp_path)
    write_report(two, tmp_path)
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"recall.png", "recall.svg", "recall.pdf"}


def test_claims_json_has_every_claim_with_its_verdict(written):
    each, folder, _ = written
    record = json.loads((folder / "claims.json").read_text())
    assert [claim["claim"] for claim in record["claims"]] == [claim.text for claim in each.claims]
    assert [claim["verdict"] for claim in record["claims"]] == [v.verdict for v in judge_all(each)]
    assert record["counts"] == {"holds": 3, "fails": 2, "undecided": 1}
    assert record["missing"] == ["no value of fd, recall for eta=1,steps=50, seed 2"]
    assert record["claims"][0]["interval"] == list(judge(each.claims[0], each).interval)


def test_a_study_without_values_or_with_foreign_ones_is_refused(tmp_path):
    each = study({"a": ["0", "1"]}, lambda place, seed: 1.0)
    with pytest.raises(ValueError, match="at least one measured value, got none for small"):
        write_report(replace(each, values=[]), tmp_path)
    with pytest.raises(ValueError, match="belong to variants of the study, got a=1"):
        write_report(replace(each, axes={"a": ["0"]}), tmp_path)
    with pytest.raises(ValueError, match=r"search must be an axis \(a\), got b"):
        write_report(replace(each, search="b"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_value_of_one_seed_is_enough_for_a_report(tmp_path):
    each = study({"a": ["0", "1"]}, lambda place, seed: 1.0 if (place["a"], seed) == ("0", 0) else None)
    each = replace(each, metrics=["fd", "recall"])
    write_report(each, tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "| 1 | – |" in text
    assert "no value of recall at all" in text


class Balanced(HTMLParser):
    """Checks that every element is closed where it should be, and gathers attributes and text."""

    EMPTY = ("meta", "link", "img", "rect", "line", "circle")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.links = [], [], "", []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data


def test_the_page_is_one_file_that_asks_for_nothing(written):
    each, folder, _ = written
    page = Balanced()
    text = (folder / "index.html").read_text()
    page.feed(text)
    page.close()
    assert page.open == []
    assert "script" not in page.tags
    assert all(link.startswith(("data:", "#")) or link == each.paper.link for link in page.links)
    assert not re.search(r"url\(|@import", text)
    assert page.tags.count("svg") == len(each.claims)
    shown = [base64.b64decode(link.split(",")[1]) for link in page.links if link.startswith("data:image/png")]
    assert set(shown) == {path.read_bytes() for path in folder.rglob("*.png")}
    assert "Less than <b>that</b> & more" in page.text
    assert "no value of fd, recall for eta=1,steps=50, seed 2" in page.text
    for claim in each.claims:
        assert claim.text in page.text
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(re.findall(r'<section id="(\w+)"', text))


def test_the_bar_puts_every_difference_on_its_side_of_zero():
    each = study({"a": ["0", "1"]}, lambda place, seed: 3 * float(place["a"]) + 0.1 * seed * float(place["a"]))
    from genexp.ablations.report.claims import parse_claim

    for text, side in (("fd[a=0] < fd[a=1]", "left"), ("fd[a=1] > fd[a=0]", "right")):
        bar = interval_bar(judge(parse_claim(text, each.axes), each))
        places = [float(x) for x in re.findall(r'cx="([\d.]+)"', bar)]
        assert len(places) == 4
        assert all((x < 160) == (side == "left") for x in places)
        assert f'class="side" x="{0 if side == "left" else 160}"' in bar


def test_plots_run_over_the_longest_axis_of_numbers():
    assert numeric_axis(ddim_axes({"eta": ["0", "1", "2"], "steps": ["10", "20", "30", "40"]})) == "steps"
    assert numeric_axis(ddim_axes({"eta": ["0", "1"], "name": ["a", "b", "c"]})) is None
    assert numeric_axis(replace(ddim_axes({"lr": ["1", "2", "3"], "a": ["x", "y"]}), search="lr")) is None


def ddim_axes(axes):
    return study(axes, lambda place, seed: 1.0 + seed)


@pytest.mark.parametrize(
    ("places", "values", "scales"),
    [
        (["1", "10", "100"], (1.0, 1.1), ("log", "linear")),
        (["0", "1", "100"], (1.0, 1.1), ("symlog", "linear")),
        (["1", "10", "15"], (1.0, 90.0), ("linear", "log")),
        (["-1", "0", "100"], (-1.0, 90.0), ("linear", "linear")),
    ],
)
def test_wide_spans_get_logarithmic_axes(places, values, scales):
    low, high = values
    each = study({"x": places}, lambda place, seed: high if place["x"] == places[-1] else low)
    (plane,) = _metric_figure(each, metric_of(each, "fd")).axes
    assert (plane.get_xscale(), plane.get_yscale()) == scales
    assert [label.get_text() for label in plane.get_xticklabels()] == places


def test_a_legend_of_long_names_fits_into_the_picture():
    names = [f"a_rather_long_name_of_a_variant_{n}" for n in range(5)]
    each = study({"objective": ["x", "y"], "kind": names}, lambda place, seed: 1.0 + seed)
    figure = _metric_figure(each, metric_of(each, "fd"))
    figure.canvas.draw()
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 5
    assert legend.get_window_extent().x0 >= 0
    assert legend.get_window_extent().x1 <= figure.bbox.width


def test_a_line_shows_means_and_the_floor(tmp_path):
    each = ddim(tmp_path)
    figure = _metric_figure(each, metric_of(each, "fd"))
    (plane,) = figure.axes
    lines = {line.get_label(): line for line in plane.get_lines()}
    assert list(lines["real images"].get_ydata()) == [0.52, 0.52]
    drawn = [container for container in plane.containers if container.get_label() == "eta 1"]
    values = [v.value for v in each.values if v.labels == (("eta", "1"), ("steps", "50")) and v.key.startswith("fd")]
    assert drawn[0].lines[0].get_ydata()[2] == pytest.approx(np.mean(values))
    assert [text.get_text() for text in figure.legends[0].get_texts()].count("eta 1") == 1


def test_a_smaller_grid_keeps_whole_tiles_and_their_pixels(tmp_path):
    path = ddim(tmp_path).pictures[(("eta", "1"), ("steps", "10"))][0]
    content = path.read_bytes()
    original = np.asarray(Image.open(path))
    assert len(tile_ends(Image.open(path))[0]) == 6
    (whole,) = smaller([content], len(content))
    assert (np.asarray(Image.open(io.BytesIO(whole)).convert("RGB")) == original).all()
    assert len(whole) < len(content)
    (cut,) = smaller([content], len(whole) // 2)
    pixels = np.asarray(Image.open(io.BytesIO(cut)).convert("RGB"))
    assert len(cut) <= len(whole) // 2
    assert pixels.shape[0] in {tiles * 34 + 2 for tiles in range(1, 6)}
    assert (pixels == original[: pixels.shape[0], : pixels.shape[1]]).all()


def test_a_picture_without_tiles_is_halved_and_few_colours_are_kept_exactly():
    noise = np.random.default_rng(0).integers(0, 250, (128, 128, 3), dtype=np.uint8)
    assert Image.open(io.BytesIO(smaller([png(noise)], 8000)[0])).size == (32, 32)
    few = np.random.default_rng(0).choice(np.array([[9, 0, 0], [0, 99, 5], [7, 7, 200]], np.uint8), (64, 64))
    kept = Image.open(io.BytesIO(smaller([png(few)], 10_000)[0]))
    assert kept.mode == "P"
    assert (np.asarray(kept.convert("RGB")) == few).all()


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def test_what_is_published_stays_small_and_links_to_what_is_there(tmp_path):
    axes = {"eta": ["0", "1"], "steps": ["10", "20"]}
    each = study(axes, lambda place, seed: float(place["eta"]) + 0.1 * seed, claims=["fd[eta=0] < fd[eta=1]"])
    draw = np.random.default_rng(0)
    for labels in labels_of(axes):
        canvas = np.full((4 * 66 + 2, 4 * 66 + 2, 3), 255, np.uint8)
        for r, c in np.ndindex(4, 4):
            canvas[r * 66 + 2 :, c * 66 + 2 :][:64, :64] = draw.integers(0, 250, (64, 64, 3))
        path = tmp_path / f"{len(each.pictures)}.png"
        path.write_bytes(png(canvas))
        each.pictures[labels] = [path]
    write_report(each, tmp_path / "out")
    paths = publish(tmp_path / "out", tmp_path / "docs", each)
    home = tmp_path / "docs/small"
    assert (home / "table.csv").read_text() == as_csv(each)
    assert as_csv(each).count("\n") >= 12  # four variants, three seeds
    assert sum(path.stat().st_size for path in paths) <= PUBLISHED
    assert {path for path in home.rglob("*") if path.is_file()} == set(paths)
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (home / "table.md").read_text())
    assert len(shown) == 5
    assert all((home / name).is_file() for name in shown)
    assert len({Image.open(home / name).size for name in shown if name.startswith("samples")}) == 1


def test_the_list_of_ablations_counts_the_claims_of_all(tmp_path):
    for each in (
        searched(),
        study({"a": ["0", "1"]}, lambda p, s: p["a"] == "1" and s + 5.0, claims=["fd[a=0] > fd[a=1]", "kid < 1"]),
    ):
        write_report(each, tmp_path / each.name)
        publish(tmp_path / each.name, tmp_path / "docs", each)
    text = write_index(tmp_path / "docs").read_text()
    assert "| [A small study](small/table.md) | our own question | cpu | 3 | 0 | 1 | 1 |" in text
    row = "| [Do penalties pay once learning rates are searched?](penalties/table.md) | our own question | cpu | 4 |"
    assert row in text
    assert "5 statements from the literature: 2 hold, 1 fails, 2 are undecided." in text
    assert text.count("\n- `") == 5
    assert "- `fd[a=0] > fd[a=1]` **fails**: 0 against 6, p 0.0" in text
    assert "- `kid < 1` **undecided**: there are no values of kid" in text


def test_another_scale_is_published_beside_the_default_one_and_judged_by_itself(tmp_path):
    def at(scale, sign):
        found = study({"a": ["0", "1"]}, lambda p, s: float(p["a"]) * (sign + 0.1 * s), claims=["fd[a=0] < fd[a=1]"])
        return replace(found, scale=scale, origin={**found.origin, "data": f"{scale} data, 1 x 28 x 28"})

    for each in (at(DEFAULT_SCALE, 1), at("mnist", -1)):
        write_report(each, tmp_path / each.scale)
        publish(tmp_path / each.scale, tmp_path / "docs", each)
    places = {"cpu": tmp_path / "docs/small", "mnist": tmp_path / "docs/small/mnist"}
    verdicts = {scale: read_claims(place / CLAIMS)["claims"][0]["verdict"] for scale, place in places.items()}
    assert verdicts == {"cpu": "holds", "mnist": "fails"}
    assert all(f"- data: {scale} data, 1 x 28 x 28\n" in (place / TABLE).read_text() for scale, place in places.items())
    text = write_index(tmp_path / "docs").read_text()
    assert "| [A small study](small/table.md) | our own question | cpu | 3 | 1 | 0 | 0 |" in text
    assert "| [A small study](small/mnist/table.md) | our own question | mnist | 3 | 0 | 1 | 0 |" in text
    assert "### [A small study](small/mnist/table.md), scale mnist\n" in text
    assert "2 statements from the literature: 1 holds, 1 fails, 0 are undecided." in text


def test_claims_are_judged_without_loading_what_draws():
    code = (
        "import sys, genexp.ablations.report.write, genexp.ablations.report.claims as claims\n"
        "heavy = {'torch', 'numpy', 'scipy', 'matplotlib', 'PIL', 'hydra', 'omegaconf'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_get_a_row_each_and_the_last_of_several_axes_a_colour():
    each = study({"loss": ["a", "b", "c"], "width": ["8", "16"]}, lambda place, seed: float(place["width"]) + seed)
    figure = _metric_figure(each, metric_of(each, "fd"))
    (plane,) = figure.axes
    assert [label.get_text() for label in plane.get_yticklabels()] == ["a", "b", "c"]
    assert plane.get_ylabel() == "loss"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["width 8", "width 16"]
    means = {container.lines[0].get_color(): container.lines[0].get_xdata() for container in plane.containers}
    assert sorted(float(x[0]) for x in means.values()) == [9.0, 17.0]


def test_texts_of_an_ablation_act_nowhere(tmp_path):
    """A title, values of an axis, a source and a reason that would be HTML, links, formulas, commands of LaTeX."""
    bad = "<script>x</script>[y](javascript:z)$\\input{q}$\n# =1"
    axes = {"kind": ["=1+1", bad]}
    each = study(axes, lambda place, seed: 1.0 + seed, claims=["fd > 0"])
    paper = Paper(bad, "=cmd", 2020, bad, "javascript:alert(1)")
    reported = Reported("FID", bad, bad, {(("kind", bad),): 3.0})
    prose = bad.splitlines()[0]  # an author's own Markdown, which may have headings
    each = replace(each, title=bad, question=prose, remarks=prose, notes=[bad], paper=paper, reported=[reported])
    each.pictures[(("kind", bad),)] = [picture := tmp_path / "x.png"]
    picture.write_bytes(png(np.zeros((8, 8, 3), np.uint8)))
    write_report(each, tmp_path / "out")
    publish(tmp_path / "out", tmp_path / "docs", each)
    write_index(tmp_path / "docs")
    rows = list(csv.reader((tmp_path / "out/table.csv").open()))
    assert not [cell for row in rows for cell in row if cell[:1] in "=+-@" and cell]
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    for path in (tmp_path / "out/table.md", tmp_path / "docs/small/table.md", tmp_path / "docs/README.md"):
        tokens = parser.parse(path.read_text())
        inner = [child for token in tokens for child in token.children or []]
        assert "html_block" not in {token.type for token in tokens}
        assert "html_inline" not in {child.type for child in inner}
        assert not [child for child in inner if "javascript" in str(child.attrs.get("href", ""))]
        assert len([token for token in tokens if token.type == "heading_open" and token.tag == "h1"]) == 1
    tex = (tmp_path / "out/table.tex").read_text()
    assert not [line for line in tex.splitlines() if "\\input" in line and not line.startswith("%")]
    assert "<script>x" not in (tmp_path / "out/index.html").read_text()


def test_plots_come_as_lines_and_letters_too_and_the_same_each_time(tmp_path, caplog):
    caplog.set_level(logging.INFO)  # as Hydra sets it
    each = ddim(tmp_path / "runs")
    each = replace(each, words={"eta": "fresh noise (eta)"})
    for folder in ("one", "two"):
        write_report(each, tmp_path / folder)
    assert caplog.messages == []
    files = sorted(path.name for path in (tmp_path / "one/plots").iterdir())
    assert files == sorted(f"{name}.{ending}" for name in ("fd", "recall") for ending in ("png", "svg", "pdf"))
    for name in files:
        assert (tmp_path / "one/plots" / name).read_bytes() == (tmp_path / "two/plots" / name).read_bytes()
    assert (tmp_path / "one/plots/fd.pdf").read_bytes().startswith(b"%PDF")
    drawing = (tmp_path / "one/plots/fd.svg").read_text()
    assert drawing.count("<svg") == 1
    said = re.findall("<!-- (.*?) -->", drawing)  # matplotlib writes every text as outlines below its words
    assert "Fréchet distance (fd), lower is better" in said
    assert "fresh noise (eta) 0.5" in said
    assert "Marks: mean over 3 seeds. Bars: from the smallest to the largest seed. Pale dots: the seeds." in said


def test_bars_of_one_seed_and_of_several_numbers_of_seeds_are_told(tmp_path):
    axes = {"kind": ["a", "b"]}

    def note(*, seeds, lost=()):
        each = study(axes, lambda place, seed: None if (place["kind"], seed) in lost else 1.0 + seed, seeds)
        return _metric_figure(each, metric_of(each, "fd")).get_supxlabel()

    assert note(seeds=(0,)) == "Marks: the value of one seed."
    assert note(seeds=(0, 1, 2), lost={("a", 1)}).startswith("Marks: mean over 2 to 3 seeds. Bars: ")


def test_seconds_are_written_in_the_unit_that_fits_and_the_number_of_seeds_once(tmp_path):
    axes = {"family": ["gan", "diffusion"]}
    times = {"gan": 2.7e-5, "diffusion": 2.776e-3}
    each = study(axes, lambda place, seed: times[place["family"]] * (1 + seed / 10), key="sampling_seconds")
    write_report(each, tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert r"sampling_seconds \[ms\] ↓" in text
    assert "| gan | **0.030 ± 0.003** |" in text
    assert "| diffusion | 3.054 ± 0.278 |" in text
    assert "Every value is of 3 seeds." in text
    assert "(3)" not in text[: text.index("## How")]
    assert "$3.054 \\pm 0.278$" in (tmp_path / "table.tex").read_text()
    assert "sampling time of an image (sampling_seconds) in ms" in (tmp_path / "plots/sampling_seconds.svg").read_text()
    values = [row["value"] for row in csv.DictReader((tmp_path / "table.csv").open())]
    assert float(values[0]) == 2.7e-5  # programs get seconds
    lost = study(axes, lambda place, seed: None if seed == 1 and place["family"] == "gan" else 1.0)
    write_report(lost, tmp_path / "lost")
    assert "(2)" in (tmp_path / "lost/table.md").read_text()
