"""MLflow's own client reads back what a run logged, once, also of a run that was resumed."""

import numpy as np
import pytest

import tiny
from genexp.runs.run_folder import JOURNAL
from genexp.tracking.mlflow_run import MLflow
from genexp.tracking.past import Past

pytest.importorskip("mlflow", reason="needs the extra mlflow")

SHORT = [*tiny.overrides_for("vae"), "logger=mlflow", "ramp@model.learning_rate=constant"]
SHORT += ["training.evaluate_every=64", "training.checkpoint_every=64", "training.log_every=32"]


def logged(folder):
    """The run in MLflow, and its client."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder.path}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("genexp")
    (run,) = client.search_runs([experiment.experiment_id])
    return run, client


def history(folder, name):
    run, client = logged(folder)
    return [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]


def journal(folder, name):
    return [(row["images_seen"], row[name]) for row in folder.history() if name in row]


@pytest.mark.slow
def test_values_settings_and_pictures_are_read_back(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tiny.run([*SHORT, "training.max_images=128"])
    run, client = logged(folder)
    assert run.info.status == "FINISHED"
    assert run.data.tags["genexp.run"] == folder.record["id"]
    assert run.data.params["seed"] == "0"
    assert history(folder, "train/loss") == journal(folder, "train/loss") != []
    assert any(key.startswith("fd/digits_classifier.") for key in run.data.metrics)
    pictures = [each.path for each in client.list_artifacts(run.info.run_id, "samples")]
    assert sorted(pictures) == [f"samples/{each.name}" for each in sorted(folder.samples.glob("*.png"))] != []
    assert (folder.path / JOURNAL).is_file()


@pytest.mark.slow
def test_a_resumed_run_has_every_value_once(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tiny.run([*SHORT, "training.max_images=64"])
    tiny.run([*SHORT, "training.max_images=128", f"resume={folder.path}"])
    assert history(folder, "train/loss") == journal(folder, "train/loss")
    assert [step for step, _ in history(folder, "val/elbo")] == [64, 128]


def test_a_data_base_that_cannot_be_written_ends_no_run(tmp_path, capsys):
    (tmp_path / "mlflow").write_text("no folder")
    logger = MLflow(str(tmp_path), "id", "name")
    logger.log_metrics({"a": 1.0}, step=1)
    logger.log_metrics({"a": 2.0}, step=2)
    assert logger.is_lost
    assert capsys.readouterr().err.count("not kept") == 1


def test_the_past_is_logged_again_with_its_pictures(tmp_path):
    logger = MLflow(str(tmp_path), "id", "name")
    logger.log_metrics({"a": 5.0}, step=7)
    again = MLflow(str(tmp_path), "id", "name")
    again.remember(Past(2, [{"images_seen": 1, "a": 1.0}, {"images_seen": 2, "a": 2.0, "seconds": 3.0}], []))
    again.log_metrics({"a": 3.0}, step=3)
    found = again.experiment.get_metric_history(again.run_id, "a")
    assert [(each.step, each.value) for each in found] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    again._log_pixels("k", np.zeros((4, 4, 3), dtype=np.uint8), 3)
    (picture,) = again.experiment.list_artifacts(again.run_id, "samples")
    assert picture.path == "samples/k_0000000003.png"
    assert str(tmp_path) in again.experiment.get_run(again.run_id).info.artifact_uri
