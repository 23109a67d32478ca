"""Which folders a comparison takes for runs."""

from genexp.runs.find import find_run_folders


def test_of_a_job_that_was_begun_anew_the_newest_attempt_counts_unless_another_is_named(tmp_path):
    for name in ("000", "000_attempt2", "000_attempt3", "001", "002_attempt2", "other_attempt2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    counted = ["000_attempt3", "001", "002_attempt2", "other_attempt2"]
    assert [each.name for each in find_run_folders([str(tmp_path)])] == counted
    assert [each.name for each in find_run_folders([f"{tmp_path}/*"])] == counted
    assert [each.name for each in find_run_folders([str(tmp_path / "000")])] == ["000"]
