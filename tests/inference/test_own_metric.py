"""A metric of the user's own, written from docs/evaluation.md and trusted by name."""

import pytest

from genexp.commands.evaluate import evaluate
from genexp.config.compose import compose
from genexp.config.monitor import OF_IMAGES, OF_MODEL
from genexp.evaluation.metrics.base import Metric, ModelMetric

OWN = """
from genexp.evaluation.metrics.base import Value
from genexp.evaluation.moments import {statistic}

class Mine:
    {kind}
    values = {{"mine": "lower"}}
    reacts = {{}}
    statistic = {statistic}

    def __init__(self, k=3, extractor=None):
        self.k, self.extractor = k, extractor

    def prepare(self, reference, extractor):
        return reference.count

    def compute(self, generated, prepared):
        return {{"mine": Value(float(prepared + self.k))}}
"""


def measured(folder, monkeypatch, kind):
    from genexp.evaluation.metrics.frechet import FrechetDistance

    package = f"own_{folder.name.replace('-', '_')}"
    (folder / f"{package}.py").write_text(
        OWN.format(kind=kind, statistic=FrechetDistance.statistic.__name__).replace(
            "genexp.evaluation.moments", FrechetDistance.statistic.__module__
        )
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("GENEXP_TRUST", f"{package}.")
    given = ["generated=digits:test", "reference=digits", "floor=null", "pictures=0", "grid=0", f"out={folder}"]
    evaluate(compose("evaluate", [*given, "metrics=none", f"+metrics.mine={{_target_: {package}.Mine, k: 5}}"]))


def test_an_own_metric_measures(tmp_path, monkeypatch, capsys):
    measured(tmp_path, monkeypatch, 'kind = "sets"')
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mine/")]
    assert line.split()[1] == "1202"


def test_an_own_metric_that_lacks_a_part_is_refused_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"metrics.mine must be a class with kind \(docs/evaluation.md\), got own_"):
        measured(tmp_path, monkeypatch, "")


def test_what_is_asked_of_a_metric_is_what_its_protocol_declares():
    """But for what only an object has: its features, its split."""
    for protocol, asked, own in ((Metric, OF_IMAGES, "extractor"), (ModelMetric, OF_MODEL, "split")):
        methods = {name for name in vars(protocol) if not name.startswith("_")}
        assert methods | set(protocol.__annotations__) == {*asked, own}
