"""What the page on evaluation says of metrics and extractors is what the code says."""

import re
from pathlib import Path

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evaluation.md").read_text()
METRICS = sorted(path for path in (ROOT / "conf" / "metrics").glob("*.yaml") if path.stem != "none")
EXTRACTORS = sorted((ROOT / "conf" / "extractor").glob("*.yaml"))


def rows(first):
    """Cells of the rows of the table whose header begins with `first`."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return found
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def quoted(cell):
    return re.findall(r"`([^`]+)`", cell)


def metric_class(path):
    return get_class(OmegaConf.load(path)[path.stem]["_target_"])


DESCRIBED = PAGE[PAGE.index("### Distances between distributions") : PAGE.index("## The features")]
NAMED = {name for words in re.findall(r"\*\*([^*]+)\*\*", DESCRIBED) for name in quoted(words.split(":")[0])}


def test_what_the_page_names_in_bold_are_metrics():
    assert len(NAMED) > 10
    assert {path.stem for path in METRICS} >= NAMED


@pytest.mark.parametrize("path", [path for path in METRICS if path.stem in NAMED], ids=lambda path: path.stem)
def test_the_page_gives_the_source_that_the_class_gives(path):
    reference = re.search(r"References?: (\S+?)[ ,]", metric_class(path).__doc__)
    if reference:
        assert reference.group(1) in DESCRIBED


@pytest.mark.parametrize("path", METRICS, ids=lambda path: path.stem)
def test_a_metric_says_itself_what_it_is(path):
    metric = metric_class(path)
    assert set(metric.values.values()) <= {"lower", "higher", "reference"}
    assert metric.kind in ("sets", "pairs", "model")
    assert path.read_text().startswith("# ")  # what `genexp info metrics` shows


def test_the_table_of_features_has_a_row_for_every_extractor_and_no_other():
    named = [name for row in rows("extractor=") for name in quoted(row[0])]
    assert sorted(named) == [path.stem for path in EXTRACTORS]


def test_the_page_is_linked_from_the_readme():
    assert "docs/evaluation.md" in (ROOT / "README.md").read_text()
