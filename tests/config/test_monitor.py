import pytest

from genexp.config.compose import compose
from genexp.config.monitor import monitored, value_directions
from genexp.runs.run_folder import RunFolder
from genexp.tracking.logger_nodes import logger_nodes


def settled(*overrides):
    return monitored(compose("train", list(overrides)))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], ("fd", "min")),
        (["metrics=precision_recall"], ("precision", "max")),
        (["metrics=[kid,fd]"], ("kid", "min")),
        (["metrics=[fd,precision_recall]", "training.monitor=recall"], ("recall", "max")),
        (["metrics=vendi"], (None, "min")),
        (["metrics=none"], (None, "min")),
        (["callbacks.evaluate=null"], (None, "min")),
        (["callbacks.evaluate=null", "training.monitor=val/loss"], ("val/loss", "min")),
        (["callbacks.evaluate=null", "experiment=captions/folder", "data.source.root=."], (None, "min")),
        (["model=classifier"], ("val/accuracy", "max")),
        (["training.monitor=val/loss"], ("val/loss", "min")),
        (["training.monitor=fd", "training.monitor_mode=max"], ("fd", "max")),
    ],
)
def test_what_is_monitored_follows_the_metrics(overrides, expected):
    assert settled(*overrides) == expected


def test_what_the_run_will_not_have_is_refused():
    with pytest.raises(ValueError, match=r"training.monitor must be one of null, auto, val/<term>, fd, got 'kid'"):
        settled("training.monitor=kid")
    without = r"one of null, auto, val/<term> where callbacks.evaluate=null measures nothing, got 'fd'"
    with pytest.raises(ValueError, match=without):
        settled("training.monitor=fd", "callbacks.evaluate=null")
    with pytest.raises(ValueError, match="monitor_mode must be min or max for vendi, which has no better direction"):
        settled("metrics=vendi", "training.monitor=vendi")


def test_values_know_their_direction():
    found = value_directions(compose("train", ["metrics=[fd,density_coverage,vendi]"]).metrics)
    assert found == {"fd": "lower", "density": "higher", "coverage": "higher", "vendi": "reference"}


def test_w_and_b_keeps_the_largest_of_what_should_be_large(tmp_path):
    config = compose("train", ["metrics=[fd,precision_recall]"])
    folder = RunFolder.claim(tmp_path / "run", {"id": "abc", "name": "x"})
    assert list(logger_nodes(config, folder).wandb.largest) == ["val/accuracy", "precision", "recall"]
