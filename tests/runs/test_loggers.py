"""The journal of a resumed run: rewound once, by rank zero, and never half written."""

import os

import pytest

from genexp.callbacks.continuation import ResumePoint
from genexp.runs.folder import DamagedRun
from genexp.runs.loggers import Journal

LINES = [f'{{"images_seen": {n}}}\n' for n in (32, 64, 96)]


@pytest.fixture
def journal(tmp_path):
    """The journal of a run that had come to 96 images."""
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(LINES) + '{"images_s')
    return path


def test_lines_beyond_the_checkpoint_go(journal):
    Journal(journal.parent).rewind(ResumePoint(64, lines=None))
    assert journal.read_text() == "".join(LINES[:2])


def test_further_ranks_leave_the_journal_to_rank_zero(journal, monkeypatch):
    from lightning.pytorch.utilities.rank_zero import rank_zero_only

    before = journal.read_text()
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    Journal(journal.parent).rewind(ResumePoint(64, lines=None))
    assert journal.read_text() == before


@pytest.mark.parametrize(
    "text",
    [
        LINES[0] + '{"images_s\n' + LINES[1],
        LINES[0] + "[]\n" + LINES[1],
        LINES[0] + '{"images_seen": "64"}\n' + LINES[1],
        LINES[0] + '{"images_s\n',
        LINES[0] + "\0\0\0\0\n" + LINES[1],
    ],
)
def test_a_damaged_journal_is_named_and_nothing_of_it_goes(text, journal):
    journal.write_text(text)
    with pytest.raises(
        DamagedRun, match=r"metrics\.jsonl of the run .* got another in line 2 of .*nothing was changed"
    ):
        Journal(journal.parent).rewind(ResumePoint(32, lines=None))
    assert journal.read_text() == text


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_it_is_rewound_loses_nothing(moment, journal, monkeypatch):
    class Killed(BaseException):
        """Stands for a process that is gone."""

    def killed(*_):
        raise Killed

    before = journal.read_text()
    monkeypatch.setattr(os, moment, killed)
    with pytest.raises(Killed):
        Journal(journal.parent).rewind(ResumePoint(64, lines=None))
    assert journal.read_text() == before
