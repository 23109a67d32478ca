"""Data that require an approval are trained on with one alone, which the run keeps."""

import pytest

import tiny
from genexp.commands import validate
from genexp.config.problems import InvalidConfig
from genexp.evaluation.copies import CopyVerdict
from genexp.inference.copies import verdict_on_copies
from genexp.inference.run import load_run

FACES = [*tiny.overrides_for("vae"), "training.max_images=64", "data.requires_approval=faces"]


def test_training_refuses_without_and_records_with_an_approval(tmp_path, monkeypatch):
    with pytest.raises(InvalidConfig, match=r"approval: must say who, when, why.*\(faces\).*got null"):
        tiny.run(FACES)
    assert not (tmp_path / "outputs").exists()
    folder = tiny.run([*FACES, "approval='A. Name, 2026-11-29, study 7'"])
    assert folder.record["approval"] == "A. Name, 2026-11-29, study 7"
    assert folder.config["approval"] == "A. Name, 2026-11-29, study 7"


@pytest.mark.parametrize("said", ["yes", "A. Name", "A. Name, today", "A. Name,,study 7", ", , "])
def test_who_when_and_why_must_all_be_said(said):
    with pytest.raises(InvalidConfig, match="approval: must be text that says who, when, why"):
        tiny.run([*FACES, f"approval='{said}'"])


def test_faces_are_declared_and_validate_tells_it(capsys):
    assert validate.main(["data=celeba"]) == 1
    assert "approval: must say who, when, why" in capsys.readouterr().out


def test_a_run_is_judged_by_its_own_features_and_training_images():
    folder = tiny.run([*tiny.overrides_for("vae"), "training.max_images=64"])
    found = verdict_on_copies(load_run(folder.path), num=64)
    assert isinstance(found, CopyVerdict)
    assert (found.generated, found.training) == (64, 100)
    assert found.features.startswith("digits_classifier@")
