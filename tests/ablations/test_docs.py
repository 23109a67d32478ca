"""The page on ablations shows a file that is one, and the README counts what the results say."""

import json
import math
import re
from collections import Counter
from pathlib import Path
from statistics import fmean, stdev

import pytest
from scipy.stats import t

from genexp.ablations.plan import make_plan
from genexp.ablations.report.verdicts import VERDICTS
from genexp.ablations.report.write import DEFAULT_SCALE
from genexp.ablations.spec import read_ablation

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/ablations.md"


def test_the_file_on_the_page_can_be_read(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path / "shown.yaml"
    path.write_text(block)
    plan = make_plan(read_ablation(path, "cpu"), [])
    assert len(plan.trainings) == 3
    assert [variant.name for variant in plan.variants] == ["eta=0,steps=10", "eta=1,steps=10"]


def test_the_readme_counts_the_published_claims():
    published = [json.loads(path.read_text()) for path in (ROOT / "docs/results").rglob("claims.json")]
    tables = Counter(each["scale"] for each in published)
    assert set(tables) <= {"cpu", "mnist"}
    claims = [claim for each in published for claim in each["claims"]]
    holds, fails, undecided = (sum(each["counts"][name] for each in published) for name in VERDICTS)
    ours = sum(claim["ours"] for claim in claims)
    text = " ".join((ROOT / "README.md").read_text().split())
    shipped = len(list((ROOT / "conf/ablation").glob("*.yaml")))
    assert f"{tables['cpu']} of the {shipped} shipped ones gave" in text
    assert f"and {tables['mnist']} of them on 28 x 28 MNIST as well" in text
    assert f"of {len(claims)} statements, {len(claims) - ours} from the literature and {ours} of our own," in text
    assert f"{holds} hold, {fails} fail and {undecided} stay undecided" in text


def test_the_excerpt_of_the_readme_is_what_was_measured():
    text = (ROOT / "README.md").read_text()
    table = (ROOT / "docs/results/ddim_table1/table.md").read_text()
    rows = re.findall(r"^\| [01] \| .*\|$", text, re.MULTILINE)
    assert len(rows) == 2
    assert all(row in table for row in rows)
    claims = json.loads((ROOT / "docs/results/ddim_table1/claims.json").read_text())["claims"]
    shown = re.findall(r"^- (fd\S* < \S*) +(holds|fails): (\S+) against ([\d.]+), .* (\d+) seeds$", text, re.MULTILINE)
    assert len(shown) == 2
    for claim, verdict, *numbers, seeds in shown:
        (found,) = [each for each in claims if each["claim"] == claim]
        assert (found["verdict"], len(found["seeds"])) == (verdict, int(seeds))
        assert [f"{found[side]:.4g}" for side in ("left", "right")] == numbers


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "docs/results").rglob("claims.json")),
    ids=lambda path: path.relative_to(ROOT / "docs/results").parent.as_posix(),
)
def test_published_verdicts_are_those_of_their_stored_differences_corrected_for_the_search_that_chose(path):
    """A claim on the best setting of a search, found on the seeds that test it, is held to 1 - 0.05 / m."""
    record = json.loads(path.read_text())
    ablation = read_ablation(ROOT / "conf/ablation" / f"{record['name']}.yaml", record["scale"])
    found = record["claims"]
    place = record["name"] if record["scale"] == DEFAULT_SCALE else f"{record['name']}/{record['scale']}"
    assert path.parent == ROOT / "docs/results" / place
    assert [each["claim"] for each in found] == [each.text for each in ablation.claims]
    for each, claim in zip(found, ablation.claims, strict=True):
        free = [side for side in (claim.left, claim.right) if side.metric and ablation.search not in dict(side.where)]
        searched = ablation.search is not None and bool(free)
        assert (each["choices"] > 1) == searched
        differences, shown = each["differences"], each["interval"]
        if shown is None or stdev(differences) == 0:
            continue
        half = (
            t.ppf(1 - 0.025 / each["choices"], len(differences) - 1) * stdev(differences) / math.sqrt(len(differences))
        )
        low, high = fmean(differences) - half, fmean(differences) + half
        assert shown == pytest.approx([low, high])
        claimed = high < 0 if claim.relation == "<" else low > 0
        opposite = low > 0 if claim.relation == "<" else high < 0
        assert each["verdict"] == ("holds" if claimed else "fails" if opposite else "undecided")
