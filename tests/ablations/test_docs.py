"""The page on ablations shows a file that is one, and the README counts what the results say."""

import json
import re
from pathlib import Path

from genexp.ablations.plan import make_plan
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
    published = [json.loads(path.read_text())["counts"] for path in (ROOT / "docs/results").glob("*/claims.json")]
    holds, fails, undecided = (sum(each[name] for each in published) for name in ("holds", "fails", "undecided"))
    text = " ".join((ROOT / "README.md").read_text().split())
    assert f"the {len(published)} shipped ones gave" in text
    assert f"of {holds + fails + undecided} claims {holds} hold, {fails} fail and {undecided} stay undecided" in text
