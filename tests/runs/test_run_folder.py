import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from genexp.files.ids import new_run_id
from genexp.runs.run_folder import DamagedRun, RunFolder, newest_unfinished, run_path, runs_under


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


def test_a_bad_line_before_the_last_is_damage_and_named(tmp_path):
    folder = RunFolder(tmp_path)
    for content in (b'{"images_seen": 1}\nx\n{"images_seen": 3}\n', b'{"images_seen": 1}\n\x91\xff\n[]\n'):
        (tmp_path / "metrics.jsonl").write_bytes(content)
        with pytest.raises(DamagedRun, match=r"metrics\.jsonl .* must hold numbers .*, got another in line 2"):
            folder.history()


def begin(path, **record):
    """A folder in which a run was begun."""
    folder = RunFolder.claim(path, record)
    folder.config_path.write_text("{}")
    return folder


def of(digest):
    """Whether a run is of the configuration of a digest."""
    return lambda folder: folder.record["config_digest"] == digest


def test_resume_auto_finds_the_newest_unfinished_run_of_the_same_configuration(tmp_path):
    for name, digest, state in (("a", "x", "finished"), ("b", "x", "running"), ("c", "y", "running")):
        begin(tmp_path / name, config_digest=digest, state=state)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/run.json").write_text("{")
    assert newest_unfinished(tmp_path, of("x")).path.name == "b"
    assert newest_unfinished(tmp_path, of("z")) is None
    assert len(list(runs_under(tmp_path))) == 4


def test_resume_auto_passes_over_a_run_that_was_not_begun_and_one_that_is_held(tmp_path):
    older = begin(tmp_path / "older", config_digest="x", state="running")
    newer = begin(tmp_path / "newer", config_digest="x", state="running")
    RunFolder.claim(tmp_path / "killed_before_its_configuration", {"config_digest": "x", "state": "running"})
    for place, folder in enumerate((older, newer)):
        os.utime(folder.path / "run.json", (place, place))
    assert newest_unfinished(tmp_path, of("x")) == newer
    assert newer.hold()
    assert newest_unfinished(tmp_path, of("x")) == older
    newer.release()
    assert newest_unfinished(tmp_path, of("x")) == newer


def test_a_run_is_begun_once_its_record_and_its_configuration_are_there(tmp_path):
    assert not RunFolder(tmp_path).begun
    for content in (b"", b"{", b"\xff\xfe", b"[]"):
        (tmp_path / "run.json").write_bytes(content)
        assert not RunFolder(tmp_path).begun
    (tmp_path / "run.json").unlink()
    folder = RunFolder.claim(tmp_path, {"id": "a"})
    assert not folder.begun
    folder.config_path.write_text("{}")
    assert folder.begun


class Killed(BaseException):
    """Stands for a process that is gone."""


def killed(*_):
    raise Killed


@pytest.mark.parametrize("moment", ["fsync", "link"])
def test_a_record_is_there_complete_or_not_at_all(moment, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, moment, killed)
        with pytest.raises(Killed):
            RunFolder.claim(tmp_path, {"id": "a"})
    assert not (tmp_path / "run.json").exists()
    assert RunFolder.claim(tmp_path, {"id": "b"}).record == {"id": "b"}


def test_where_there_are_no_hard_links_a_folder_is_still_claimed_once(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", refused)
    assert RunFolder.claim(tmp_path, {"id": "a"}).record == {"id": "a"}
    with pytest.raises(FileExistsError, match="run_dir must be a folder without a run"):
        RunFolder.claim(tmp_path, {"id": "b"})
    assert not list(tmp_path.glob(".*.partial"))
    (tmp_path / "run.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            RunFolder.claim(tmp_path, {"id": "c"})
    assert not RunFolder(tmp_path).begun


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(DamagedRun, match=r"run\.json"):
        _ = RunFolder(tmp_path).record


def test_record_changes_are_merged(tmp_path):
    folder = RunFolder.claim(tmp_path, {"id": "a", "state": "running"})
    folder.update_record(state="finished")
    assert json.loads((tmp_path / "run.json").read_text()) == {"id": "a", "state": "finished"}
    assert not list(tmp_path.glob("*.partial"))
