"""The journal of a resumed run: rewound once, by rank zero, and never half written."""

import os

import pytest

from genexp.runs.loggers import Journal

LINES = [f'{{"images_seen": {n}}}\n' for n in (32, 64, 96)]


@pytest.fixture
def journal(tmp_path):
    """The journal of a run that had come to 96 images."""
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(LINES) + '{"images_s')
    return path


def test_lines_beyond_the_checkpoint_go(journal):
    Journal(journal.parent, resume_at=64)
    assert journal.read_text() == "".join(LINES[:2])


@pytest.mark.parametrize("name", ["LOCAL_RANK", "SLURM_PROCID"])
def test_further_ranks_leave_the_journal_to_rank_zero(name, journal, monkeypatch):
    before = journal.read_text()
    monkeypatch.setenv(name, "1")
    Journal(journal.parent, resume_at=64)
    assert journal.read_text() == before


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_it_is_rewound_loses_nothing(moment, journal, monkeypatch):
    class Killed(BaseException):
        """Stands for a process that is gone."""

    def killed(*_):
        raise Killed

    before = journal.read_text()
    monkeypatch.setattr(os, moment, killed)
    with pytest.raises(Killed):
        Journal(journal.parent, resume_at=64)
    assert journal.read_text() == before
