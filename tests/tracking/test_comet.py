"""What a run logged is read back from Comet's archive, once, also of a run that was resumed."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

import tiny
from genexp.tracking.comet_run import Comet
from genexp.tracking.past import Past

pytest.importorskip("comet_ml", reason="needs the extra comet")

SHORT = [*tiny.overrides_for("vae"), "logger=comet", "ramp@model.learning_rate=constant"]
SHORT += ["training.evaluate_every=64", "training.checkpoint_every=64", "training.log_every=32"]


class Archive:
    """The one archive below a folder."""

    def __init__(self, folder):
        (path,) = folder.glob("comet/*.zip")
        self.files = zipfile.ZipFile(path)
        self.messages = [json.loads(line) for line in self.files.read("messages.json").splitlines()]

    def of(self, kind, inside="payload"):
        return [each["payload"].get(inside, each["payload"]) for each in self.messages if each["type"] == kind]

    def history(self, name):
        values = [each for each in self.of("metric_msg", "metric") if each["metricName"] == name]
        return [(each["step"], each["metricValue"]) for each in values]

    def pictures(self):
        uploads = self.of("file_upload")
        return {each["additional_params"]["figName"]: self.pixels(each["file_path"]) for each in uploads}

    def pixels(self, name):
        return np.array(Image.open(io.BytesIO(self.files.read(name))))


def journal(folder, name):
    return [(row["images_seen"], row[name]) for row in folder.history() if name in row]


@pytest.mark.slow
def test_values_settings_and_pictures_are_read_back():
    folder = tiny.run([*SHORT, "training.max_images=128"])
    archive = Archive(folder.path)
    assert archive.history("train/loss") == journal(folder, "train/loss") != []
    others = {each["key"]: each["value"] for each in archive.of("log_other")}
    assert others["genexp.run"] == folder.record["id"]
    settings = {each.get("paramName"): each.get("paramValue") for each in archive.of("parameter_msg", "param")}
    assert settings["seed"] == 0
    drawn = {each.name: np.array(Image.open(each).convert("RGB")) for each in folder.samples.glob("*.png")}
    pictures = archive.pictures()
    assert sorted(pictures) == sorted(drawn) != []
    assert all((pictures[name] == pixels).all() for name, pixels in drawn.items())


@pytest.mark.slow
def test_a_resumed_run_has_every_value_once():
    folder = tiny.run([*SHORT, "training.max_images=64"])
    key = next(folder.path.glob("comet/*.zip")).name
    tiny.run([*SHORT, "training.max_images=128", f"resume={folder.path}"])
    archive = Archive(folder.path)
    assert archive.history("train/loss") == journal(folder, "train/loss")
    assert [step for step, _ in archive.history("val/elbo")] == [64, 128]
    assert next(folder.path.glob("comet/*.zip")).name == key


def test_the_past_is_logged_again_and_what_was_there_is_gone(tmp_path):
    logger = Comet(str(tmp_path), "id", "name")
    logger.log_metrics({"a": 5.0}, step=7)
    logger.finalize("success")
    again = Comet(str(tmp_path), "id", "name")
    again.remember(Past(2, [{"images_seen": 1, "a": 1.0}, {"images_seen": 2, "a": 2.0, "seconds": 3.0}], []))
    again.log_metrics({"a": 3.0}, step=3)
    again._log_pixels("k", np.zeros((4, 4, 3), dtype=np.uint8), 3)
    again.finalize("success")
    archive = Archive(tmp_path)
    assert archive.history("a") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert archive.pictures()["k_0000000003.png"].shape == (4, 4, 3)


def test_an_archive_that_cannot_be_written_ends_no_run(tmp_path, capsys):
    (tmp_path / "comet").write_text("no folder")
    logger = Comet(str(tmp_path), "id", "name")
    logger.log_metrics({"a": 1.0}, step=1)
    logger.log_metrics({"a": 2.0}, step=2)
    assert logger.is_lost
    assert capsys.readouterr().err.count("not kept") == 1
