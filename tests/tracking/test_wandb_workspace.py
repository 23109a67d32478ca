"""A comparison as a W&B workspace and report: built, checked by wandb-workspaces, kept as JSON without a network."""

import json
import subprocess
import sys

import pytest
from stored_runs import FD, write_run

import forking
from genexp.reports.comparison import compare_runs
from genexp.runs.find import find_run_folders
from genexp.runs.stored import read_runs
from genexp.tracking.wandb_panels import Place, by_group, setting_keys
from genexp.tracking.wandb_workspace import place_of, show_in_wandb

LOGGER = {"project": "mine", "entity": None}


def stored(tmp_path):
    for seed, (group, width) in enumerate((("a", 16), ("a", 16), ("b", 32), (None, 32))):
        more = {"model__width": width, "seed": seed, "logger__wandb": LOGGER}
        write_run(tmp_path, f"run{seed}", {FD: 1.0 + seed}, record={"group": group}, typed=("model.width",), **more)


@pytest.fixture
def comparison(tmp_path):
    stored(tmp_path)
    return compare_runs(*read_runs(find_run_folders([str(tmp_path)])))


@pytest.fixture
def views(comparison, tmp_path):
    done = show_in_wandb(comparison, tmp_path / "out", question="Is wider better?")
    read = {name: json.loads((tmp_path / f"out/wandb_{name}.json").read_text()) for name in ("workspace", "report")}
    return dict(done), read


def found(node, key):
    """Every value under a key, at any depth."""
    if isinstance(node, dict):
        return [*([node[key]] if key in node else []), *(each for value in node.values() for each in found(value, key))]
    return [each for value in node for each in found(value, key)] if isinstance(node, list) else []


def test_offline_both_are_kept_as_json_and_it_is_said(views):
    done, read = views
    assert done["uploaded"] == "nothing: WANDB_MODE is offline"
    assert read["workspace"]["project"] == "mine"
    assert read["workspace"]["displayName"] == "study: model.width"
    assert read["report"]["displayName"] == "study: model.width"
    assert read["report"]["description"] == "Is wider better?"


def test_the_workspace_shows_the_compared_runs_alone_with_values_by_group(views):
    spec = views[1]["workspace"]["spec"]
    (runs,) = found(spec, "runSets")[0]
    assert sorted(runs["filters"]["filters"][0]["value"]) == ["run0", "run1", "run2", "run3"]
    assert runs["grouping"] == [{"section": "run", "name": "group"}]
    lines, pictures, coordinates = (section["panels"][0] for section in found(spec, "sections")[0])
    assert lines["config"]["metrics"] == [FD]
    assert (lines["config"]["xAxis"], lines["config"]["groupBy"]) == ("images_seen", "group")
    assert pictures["config"]["mediaKeys"] == ["pictures/samples"]
    accessors = [each["accessor"] for each in coordinates["config"]["columns"]]
    assert accessors == ["config:model.value.width", f"summary:{FD}"]
    assert coordinates["config"]["columns"][1]["inverted"] is True


def test_the_report_has_the_question_the_table_and_a_run_set_a_group(views):
    report = views[1]["report"]
    texts = found(report, "text")
    assert {"Is wider better?", "Table", "Values", "Pictures", "Settings"} <= set(texts)
    (table,) = found(report, "content")
    assert "**1.500 ± 0.707**" in table
    grids = found(report, "runSets")
    assert [[each["name"] for each in grid] for grid in grids] == [["a", "b", "without a group"]] * 3
    assert [each["filters"]["filters"][0]["value"] for each in grids[0]] == [["run0", "run1"], ["run2"], ["run3"]]


def test_a_chosen_group_is_shown_by_a_setting_that_changes_with_it(tmp_path):
    for number, network in enumerate(("unet", "mlp")):
        choices = {"model/network": network}
        write_run(tmp_path, f"r{number}", {FD: 1.0}, choices=choices, model__network__depth=number)
    comparison = compare_runs(*read_runs(find_run_folders([str(tmp_path)])))
    assert [each.key for each in comparison.settings] == ["model.network"]
    assert setting_keys(comparison) == ["model.network.depth"]


def test_where_the_runs_are_is_read_or_has_to_be_said(comparison, tmp_path):
    assert place_of(comparison.runs) == Place("mine", None)
    assert list(by_group(comparison.runs)) == ["a", "b", "without a group"]
    write_run(tmp_path / "more", "c", {FD: 1.0}, logger__wandb={"project": "other"})
    with pytest.raises(
        ValueError, match="project must be given where the runs do not share one W&B project, got mine,"
    ):
        place_of(read_runs(find_run_folders([str(tmp_path)]))[0])


def test_without_an_account_it_is_said(comparison, tmp_path, monkeypatch):
    import wandb

    def refuse():
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "Api", refuse)
    done = dict(show_in_wandb(comparison, tmp_path / "out"))
    assert done["uploaded"] == "nothing: there is no API key, see wandb login"


def test_with_an_account_both_are_saved_below_its_name(comparison, tmp_path, monkeypatch):
    import wandb
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    saved = []

    class Account:
        default_entity = "me"

    def save(view):
        saved.append((type(view).__name__, view.entity, view.project))
        return type("Saved", (), {"url": f"https://wandb.ai/{view.entity}/{view.project}"})

    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "Api", Account)
    monkeypatch.setattr(ws.Workspace, "save", save)
    monkeypatch.setattr(wr.Report, "save", save)
    done = show_in_wandb(comparison, tmp_path / "out")
    assert saved == [("Workspace", "me", "mine"), ("Report", "me", "mine")]
    assert [text for name, text in done if name == "uploaded"] == ["https://wandb.ai/me/mine"] * 2

    def unreachable(view):
        raise wandb.errors.CommError("no network")

    monkeypatch.setattr(ws.Workspace, "save", unreachable)
    with pytest.raises(ConnectionError, match="W&B could not be reached, nothing more was uploaded: no network"):
        show_in_wandb(comparison, tmp_path / "out")


def test_the_extra_is_named_when_it_is_missing(comparison, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(ValueError, match=r"pip install 'genexp\[reports\]'"):
        show_in_wandb(comparison, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_them_beside_its_other_files(tmp_path):
    stored(tmp_path / "outputs")
    command = [*forking.genexp(), "compare", "runs=outputs", "out=made", "page=false", "wandb=true"]
    done = subprocess.run([*command, "title=Widths"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "nothing: WANDB_MODE is offline" in done.stdout
    assert json.loads((tmp_path / "made/wandb_report.json").read_text())["displayName"] == "Widths"
    assert (tmp_path / "made/wandb_workspace.json").is_file()
