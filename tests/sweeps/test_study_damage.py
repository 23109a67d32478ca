"""A study's files that something has happened to: one line that names the file, and nothing of it changed."""

import pytest

from genexp.ablations.report.claims_file import read_claims
from genexp.files.json_records import DamagedFile
from genexp.sweeps.study.storage import JOURNAL, open_storage

DAMAGES = {
    "empty line": "\n",
    "text": "no JSON\n",
    "a list": "[1]\n",
    "cut": '{"op_code": 0, \n',
    "deep": "[" * 9999 + "\n",
}


@pytest.fixture
def journal(tmp_path):
    """The journal of a study of one trial."""
    import optuna

    storage, _ = open_storage(None, tmp_path)
    study = optuna.create_study(storage=storage, study_name="a")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    return tmp_path / JOURNAL


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_journal_is_named_and_kept(damage, journal):
    lines = journal.read_text().splitlines(keepends=True)
    damaged = "".join([*lines[:2], damage, *lines[2:]])
    journal.write_text(damaged)
    with pytest.raises(DamagedFile, match=r"study\.journal cannot be read") as raised:
        open_storage(None, journal.parent)
    assert "\n" not in str(raised.value)
    assert journal.read_text() == damaged


def test_a_torn_last_line_of_a_journal_is_what_a_kill_leaves(journal):
    import optuna

    with open(journal, "a") as file:
        file.write('{"op_code": 4, "wor')
    storage, _ = open_storage(None, journal.parent)
    assert len(optuna.load_study(storage=storage, study_name="a").trials) == 1


@pytest.mark.parametrize("content", ["", "[]", "3", '{"title": 3}', '{"claims": [{}]}', "\x00", "{"])
def test_damaged_claims_are_named(content, tmp_path):
    path = tmp_path / "claims.json"
    path.write_text(content)
    with pytest.raises(DamagedFile, match=r"claims\.json") as raised:
        read_claims(path)
    assert "\n" not in str(raised.value)
