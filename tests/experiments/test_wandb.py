"""What W&B stored is read back from the offline run file, with W&B's own tool."""

import json
import shutil

import pytest

import tiny
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.runs.run_folder import RunFolder
from recorded import wandb_records as records


def history(found):
    return [record["history"]["item"] for record in found if record["type"] == "history"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("wandb")
    overrides = [
        *tiny.overrides_for("vae"),
        "logger=wandb",
        f"paths.outputs={outputs}",
        "group=mine",
        "tags=[a,b]",
        "notes=why",
        "logger.wandb.project=testing",
    ]
    folder = tiny.run(overrides)
    return folder, records(folder)


def flat(item):
    if isinstance(item, dict):
        return item
    return {entry.get("key") or ".".join(entry["nested_key"]): entry.get("value_json") for entry in item}


def test_the_run_has_the_folders_id_and_its_labels(stored):
    folder, found = stored
    run = next(record["run"] for record in found if record["type"] == "run")
    text = json.dumps(run)
    assert run["run_id"] == folder.record["id"]
    assert run["project"] == "testing"
    assert all(word in text for word in ("mine", '"a"', '"b"', '"vae"', '"train"', "why"))
    assert (folder.record["group"], folder.record["tags"]) == ("mine", ["a", "b", "vae"])


def test_the_configuration_is_complete(stored):
    _, found = stored
    text = json.dumps([record for record in found if record["type"] in ("run", "config")])
    for word in ("genexp.families.vae.VAE", "max_images", "config_digest", "parameters", "data_digest", "commit"):
        assert word in text


def test_history_has_one_axis_and_named_terms(stored):
    _, found = stored
    rows = [flat(item) for item in history(found)]
    names = set().union(*rows)
    assert all("images_seen" in row for row in rows)
    assert {"train/loss", "val/elbo"} <= names
    assert any(name.startswith("fd/") for name in names)
    assert any(name.startswith("best/fd/") for name in names)
    monitored = [float(row["best/fd"]) for row in rows if "best/fd" in row]  # the key that W&B sweeps look at
    assert monitored == sorted(set(monitored), reverse=True)
    assert monitored[-1] == stored[0].metrics["best"]["value"]
    assert not [name for name in names if "global_step" in name]
    axis = [float(row["images_seen"]) for row in rows]
    assert axis == sorted(axis)
    assert axis[-1] == 320
    definitions = json.dumps([record for record in found if record["type"] == "metric"])
    assert "images_seen" in definitions


def test_one_picture_an_evaluation_under_one_key(stored):
    _, found = stored
    names = [name for item in history(found) for name in flat(item) if name.startswith("pictures/samples")]
    assert names
    assert len({name.split(".")[0] for name in names}) == 1
    media = [f["path"] for r in found if r["type"] == "files" for f in r["files"]["files"]]
    assert len([path for path in media if path.startswith("media/images/pictures/samples")]) == 3


def test_the_summary_and_the_exit_are_there(stored):
    folder, found = stored
    assert any(record["type"] == "exit" for record in found)
    summary = json.dumps([record for record in found if record["type"] == "summary"])
    assert "val/elbo" in summary
    assert len(list((folder.path / "wandb").glob("offline-run-*"))) == 1


def test_pictures_of_a_later_drawing_stand_in_the_summary_and_add_no_row(stored, tmp_path):
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(stored[0].path, folder.path, ignore=shutil.ignore_patterns("wandb"))
    drawing = [f"run={folder.path}", f"out={tmp_path / 'out'}", "num=2", "rows=1", "interpolate=2", "wandb=true"]
    sample(compose("sample", [*drawing, "++sheet.truncation=[1.0,2.0]"]))
    found = records(folder)
    summary = json.dumps([record for record in found if record["type"] == "summary"])
    for name in ("grid", "interpolation", "sheet"):
        assert f"sample/{name}" in summary
        (stored_picture,) = folder.path.glob(f"wandb/offline-run-*/files/media/images/sample/{name}_*.png")
        assert stored_picture.read_bytes() == (tmp_path / "out" / f"{name}.png").read_bytes()
    assert history(found) == []


def test_a_resumed_run_continues_the_same_wandb_run(tmp_path):
    overrides = [*tiny.overrides_for("vae"), "logger=wandb", f"paths.outputs={tmp_path}"]
    first = tiny.run(overrides)
    again = tiny.run([*overrides, f"resume={first.path}", "training.max_images=640"])
    ids = {record["run"]["run_id"] for record in records(again) if record["type"] == "run"}
    assert ids == {first.record["id"]}
    rows = [flat(item) for item in history(records(again))]
    assert max(float(row["images_seen"]) for row in rows) == 640
    rows.sort(key=lambda row: float(row["images_seen"]))
    worse = set()
    for key in {name for row in rows for name in row if name.startswith("best/")} - {"best/fd"}:
        bests = [float(row[key]) for row in rows if key in row]
        values = [float(row[key.removeprefix("best/")]) for row in rows if key.removeprefix("best/") in row]
        assert bests == sorted(set(bests), reverse=True), key
        assert bests[-1] == min(values)
        worse |= {key} if min(values[len(values) // 2 :]) > bests[-1] else set()
    assert worse  # something was never as good again as before the resume, so a best that began anew would show


def test_sequential_runs_in_one_process_do_not_share_a_wandb_run(tmp_path):
    overrides = [*tiny.overrides_for("vae"), "logger=wandb", "training.max_images=32"]
    one = tiny.run([*overrides, f"paths.outputs={tmp_path / 'a'}"])
    two = tiny.run([*overrides, f"paths.outputs={tmp_path / 'b'}", "seed=1"])
    ids = [next(r["run"]["run_id"] for r in records(f) if r["type"] == "run") for f in (one, two)]
    assert ids == [one.record["id"], two.record["id"]]


def test_two_processes_write_one_complete_run_with_its_pictures(tmp_path, monkeypatch):
    overrides = [*tiny.overrides_for("vae"), "logger=wandb", "trainer=ddp_cpu", f"paths.outputs={tmp_path}"]
    monkeypatch.chdir(tmp_path)
    folder = tiny.run(overrides)
    found = records(folder)
    assert len([record for record in found if record["type"] == "run"]) == 1
    assert {320.0} <= {float(flat(item)["images_seen"]) for item in history(found)}
    (run,) = folder.path.glob("wandb/offline-run-*")
    media = [f["path"] for r in found if r["type"] == "files" for f in r["files"]["files"] if "media" in f["path"]]
    assert len(media) == 9  # three kinds of pictures at three evaluations
    assert [path for path in media if not (run / "files" / path).is_file()] == []
    assert not (tmp_path / "wandb").exists()  # the working folder


def test_an_impossible_mode_is_refused(tmp_path):
    with pytest.raises(Exception, match="mode: must be one of offline, online, disabled, got 'ofline'"):
        tiny.run([*tiny.overrides_for("vae"), "logger=wandb", "logger.wandb.mode=ofline", f"paths.outputs={tmp_path}"])


def test_wandbs_own_variables_go_before_the_defaults_and_what_is_typed_before_both(monkeypatch):
    from genexp.config.compose import compose
    from genexp.tracking.wandb_run import WandbRun

    for name in ("PROJECT", "ENTITY", "NAME", "RUN_GROUP", "JOB_TYPE", "NOTES", "TAGS"):
        monkeypatch.setenv(f"WANDB_{name}", f"{name.lower()},b" if name == "TAGS" else name.lower())
    node = compose("train", ["model=vae", "name=mine", "logger.wandb.project=typed"]).logger.wandb
    assert (node.project, node.entity, node.name) == ("typed", "entity", "name")
    assert (node.group, node.job_type, node.notes) == ("run_group", "job_type", "notes")
    logger = WandbRun("somewhere", "id", "typed", tags=["vae"])
    assert logger._settings["tags"] == ["vae", "tags", "b"]
    for name in ("PROJECT", "NAME"):
        monkeypatch.delenv(f"WANDB_{name}")
    node = compose("train", ["model=vae", "name=mine"]).logger.wandb
    assert (node.project, node.name) == ("genexp", "mine")
