"""The journal of a resumed run: rewound once, by rank zero, and never half written."""

import csv
import os
import time

import pytest
import torch

from genexp.callbacks.resume_point import ResumePoint
from genexp.runs.run_folder import DamagedRun
from genexp.tensors import Grid
from genexp.tracking.journal import Csv, Journal, TensorBoard
from genexp.tracking.past import LoggedPicture, Past

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


ROWS = [{"images_seen": n, "seconds": float(n), "train/loss": n / 10} for n in (1, 2, 3)]


def test_the_csv_of_a_resumed_run_has_every_line_once(tmp_path):
    first = Csv(save_dir=tmp_path, name="csv", version="")
    for row in [*ROWS, {"images_seen": 4, "train/loss": 9.0}]:
        first.log_metrics({"train/loss": row["train/loss"]}, step=row["images_seen"])
    first.save()
    again = Csv(save_dir=tmp_path, name="csv", version="")
    again.remember(Past(3, ROWS, []))
    again.log_metrics({"train/loss": 0.4, "val/loss": 1.0}, step=4)
    again.save()
    with open(tmp_path / "csv" / "metrics.csv", newline="") as file:
        rows = [(int(row["step"]), float(row["train/loss"])) for row in csv.DictReader(file)]
    assert rows == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]


def test_tensorboard_shows_every_line_and_picture_of_a_resumed_run_once(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    samples = tmp_path / "samples"
    samples.mkdir()
    grid = Grid(torch.zeros(4, 1, 8, 8), 2)
    first = TensorBoard(save_dir=tmp_path, name="tensorboard", version="")
    for n in (1, 2, 3, 4):
        first.log_metrics({"train/loss": float(n)}, step=n)
        first.log_picture("samples", grid, n, "")
        Journal(tmp_path).log_picture("samples", grid, n, f"of {n}")
    first.finalize("failed")
    time.sleep(1.1)  # TensorBoard reads files in the order of the seconds in their names
    again = TensorBoard(save_dir=tmp_path, name="tensorboard", version="")
    rows = [{"images_seen": n, "seconds": 0.0, "train/loss": float(n)} for n in (1, 2, 3)]
    pictures = [LoggedPicture.of(samples / f"samples_{n:010d}.png") for n in (1, 2, 3)]
    again.remember(Past(3, rows, pictures))
    again.log_metrics({"train/loss": 4.0}, step=4)
    again.log_picture("samples", grid, 4, "")
    again.finalize("success")
    found = events.EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(each.step, each.value) for each in found.Scalars("train/loss")] == [(n, float(n)) for n in (1, 2, 3, 4)]
    assert [each.step for each in found.Images("samples")] == [1, 2, 3, 4]
    assert len({each.encoded_image_string for each in found.Images("samples")}) == 1


def test_a_picture_keeps_its_caption_and_a_damaged_one_is_named_and_passed_over(tmp_path, capsys):
    journal = Journal(tmp_path)
    for n in (1, 2):
        journal.log_picture("samples", Grid(torch.zeros(1, 1, 8, 8), 1), n, f"{n} images seen, seed 3")
    damaged = tmp_path / "samples" / "samples_0000000002.png"
    damaged.write_bytes(damaged.read_bytes()[:40])
    past = journal.past(ResumePoint(2, lines=0))
    ((picture, pixels, caption),) = past.drawings()
    assert (picture.images_seen, pixels.shape[2], caption) == (1, 3, "1 images seen, seed 3")
    assert str(damaged) in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\x00\xff garbage", LINES[0].encode()])
def test_a_journal_that_lacks_lines_behind_the_checkpoint_is_damaged(content, journal):
    journal.write_bytes(content)
    with pytest.raises(DamagedRun, match=r"metrics\.jsonl .* must hold the 2 lines behind its checkpoint, got [01];"):
        Journal(journal.parent).past(ResumePoint(64, lines=2))
    assert journal.read_bytes() == content


def test_a_run_goes_on_without_a_journal_that_was_removed(journal):
    journal.unlink()
    assert Journal(journal.parent).past(ResumePoint(64, lines=2)).rows == []
