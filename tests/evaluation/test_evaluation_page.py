"""The page on evaluation names every metric, value and extractor, and its table says what the code says."""

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


TABLE = {quoted(row[0])[0]: row for row in rows("metrics=")}


def metric_class(path):
    return get_class(OmegaConf.load(path)[path.stem]["_target_"])


def test_the_table_has_a_row_for_every_metric_and_no_other():
    assert sorted(TABLE) == [path.stem for path in METRICS]
    assert "`metrics=none`" in PAGE


@pytest.mark.parametrize("path", METRICS, ids=lambda path: path.stem)
def test_a_row_says_values_directions_and_statistic_of_the_class(path):
    metric, (_, values, better, statistic, *_) = metric_class(path), TABLE[path.stem]
    assert dict(zip(quoted(values), better.split(", "), strict=True)) == dict(metric.values)
    assert quoted(statistic) == [metric.statistic.__name__]


@pytest.mark.parametrize("path", METRICS, ids=lambda path: path.stem)
def test_a_row_says_what_a_metric_needs(path):
    needs = TABLE[path.stem][4]
    assert ("pairs" in needs) == getattr(metric_class(path), "paired", False)
    assert ("classifier" in needs) == ("must classify" in path.read_text())
    assert ("file" in needs) == ("weights: null" in path.read_text())


@pytest.mark.parametrize("path", METRICS, ids=lambda path: path.stem)
def test_the_text_below_the_table_speaks_of_every_metric_and_its_source(path):
    described = PAGE[PAGE.index("### Distances between distributions") : PAGE.index("## The features")]
    assert f"`{path.stem}`" in described
    reference = re.search(r"References?: (\S+?)[ ,]", metric_class(path).__doc__)
    if reference:
        assert reference.group(1) in described


def test_the_table_of_features_has_a_row_for_every_extractor_and_no_other():
    named = [name for row in rows("extractor=") for name in quoted(row[0])]
    assert sorted(named) == [path.stem for path in EXTRACTORS]


def test_the_page_is_linked_from_the_readme():
    assert "docs/evaluation.md" in (ROOT / "README.md").read_text()
