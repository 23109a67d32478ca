"""Resuming a run that has finished: nothing happens to it, and what is added counts from where it was."""

import pytest

import tiny

TYPED = [*tiny.overrides_for("vae"), "training.max_images=64"]


def contents(folder):
    files = (path for path in folder.path.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    return {path.relative_to(folder.path): path.read_bytes() for path in files}


def test_a_finished_run_is_left_as_it_is_and_adds_its_seconds_when_it_goes_on(tmp_path, capsys):
    outputs = f"paths.outputs={tmp_path}"
    folder = tiny.run([*TYPED, outputs])
    before = contents(folder)
    tiny.run([*TYPED, outputs, f"resume={folder.path}"])
    assert contents(folder) == before
    out = capsys.readouterr().out
    assert "already, after 64 images; nothing was changed" in out
    assert "training.max_images=128" in out

    longer = [each for each in TYPED if "max_images" not in each]
    tiny.run([*longer, "training.max_images=128", outputs, f"resume={folder.path}"])
    assert folder.metrics["images_seen"] == 128
    rows = [row["seconds"] for row in folder.history() if row["images_seen"] <= 64]
    assert folder.metrics["seconds"] > max(rows)
    assert folder.metrics["seconds"] == pytest.approx(folder.history()[-1]["seconds"], abs=5.0)
