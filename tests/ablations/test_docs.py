"""The page on ablations shows a file that is one."""

import re
from pathlib import Path

from genexp.ablations.plan import make_plan
from genexp.ablations.spec import read_ablation

PAGE = Path(__file__).parents[2] / "docs/ablations.md"


def test_the_file_on_the_page_can_be_read(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path / "shown.yaml"
    path.write_text(block)
    plan = make_plan(read_ablation(path, "cpu"), [])
    assert len(plan.trainings) == 3
    assert [variant.name for variant in plan.variants] == ["eta=0,steps=10", "eta=1,steps=10"]
