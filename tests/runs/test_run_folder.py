import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from genexp.runs.folder import DamagedRun, RunFolder, new_run_id, newest_unfinished, run_path, runs_under


def test_a_folder_is_claimed_by_exactly_one_of_many(tmp_path):
    def claim(i):
        try:
            return RunFolder.claim(tmp_path / "run", {"id": i})
        except FileExistsError:
            return None

    with ThreadPoolExecutor(16) as pool:
        won = [folder for folder in pool.map(claim, range(64)) if folder]
    assert len(won) == 1
    assert (tmp_path / "run/samples").is_dir()


def test_claiming_a_taken_folder_says_how_to_continue_it(tmp_path):
    RunFolder.claim(tmp_path, {"id": "a"})
    with pytest.raises(FileExistsError, match="resume="):
        RunFolder.claim(tmp_path, {"id": "b"})
    assert RunFolder(tmp_path).record == {"id": "a"}


def test_ids_are_distinct_and_paths_carry_them(tmp_path):
    ids = {new_run_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert run_path(tmp_path, "gan_digits", "abcd2345").name.endswith("_abcd2345")


def test_a_run_is_found_from_any_file_in_it(tmp_path):
    folder = RunFolder.claim(tmp_path / "run", {"id": "a"})
    folder.last.write_bytes(b"")
    assert RunFolder.open(folder.last).path == folder.path
    with pytest.raises(FileNotFoundError, match=r"no run\.json"):
        RunFolder.open(tmp_path)


def test_history_leaves_out_a_torn_last_line(tmp_path):
    folder = RunFolder.claim(tmp_path, {})
    (tmp_path / "metrics.jsonl").write_text('{"images_seen": 1}\n{"images_seen": 2}\n{"images_s')
    assert [row["images_seen"] for row in folder.history()] == [1, 2]


def test_resume_auto_finds_the_newest_unfinished_run_of_the_same_configuration(tmp_path):
    for name, digest, state in (("a", "x", "finished"), ("b", "x", "running"), ("c", "y", "running")):
        RunFolder.claim(tmp_path / name, {"config_digest": digest, "state": state})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/run.json").write_text("{")
    assert newest_unfinished(tmp_path, "x").path.name == "b"
    assert newest_unfinished(tmp_path, "z") is None
    assert len(list(runs_under(tmp_path))) == 4


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(DamagedRun, match=r"run\.json"):
        _ = RunFolder(tmp_path).record


def test_record_changes_are_merged(tmp_path):
    folder = RunFolder.claim(tmp_path, {"id": "a", "state": "running"})
    folder.update_record(state="finished")
    assert json.loads((tmp_path / "run.json").read_text()) == {"id": "a", "state": "finished"}
    assert not list(tmp_path.glob("*.partial"))
