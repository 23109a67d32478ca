"""What a resumed W&B run is sent: each row once, whether the server, a file or nothing has it already."""

from types import SimpleNamespace

import pytest

from genexp.tracking import wandb_run
from genexp.tracking.past import Past
from genexp.tracking.wandb_run import WandbRun

ROWS = [{"images_seen": n, "seconds": 1.0, "train/loss": float(n)} for n in (1, 2, 3)]


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Opens a resumed run whose server has `there` rows and logs four further ones; what was sent, by images seen."""
    import wandb

    def of(there, mode="online", repeats=True, close=False):
        sent, steps = [], []

        def log(row, step, commit):
            assert commit
            sent.append(row)
            steps.append(step)

        files = tmp_path / "wandb" / "offline-run-2-mine" / "files"
        files.mkdir(parents=True)
        run = SimpleNamespace(
            starting_step=there,
            log=log,
            define_metric=lambda *_, **__: None,
            dir=str(files),
            summary={},
            finish=lambda **_: None,
        )
        monkeypatch.setattr(wandb, "init", lambda **_: run)
        monkeypatch.setattr(wandb_run, "is_whole", lambda folder: True)  # this one writes no file
        logger = WandbRun(tmp_path, "mine", mode=mode)
        logger.remember(Past(3, ROWS, [], repeats))
        for n in (4, 5, 6, 7):
            logger.log_metrics({"train/loss": float(n)}, step=n)
        assert all(row == {"images_seen": row["images_seen"], "train/loss": float(row["images_seen"])} for row in sent)
        if close:
            logger.close({})
        return [row["images_seen"] for row in sent], steps

    return of


@pytest.mark.parametrize(
    ("there", "sent"),
    [
        (3, [4, 5, 6, 7]),  # as far as the checkpoint
        (5, [6, 7]),  # beyond it: these rows come again as they were
    ],
)
def test_rows_that_the_server_has_are_not_sent_again(there, sent, opened):
    assert opened(there) == (sent, [None] * len(sent))


def test_a_changed_run_sends_what_it_logs_whatever_the_server_has(opened):
    assert opened(5, repeats=False)[0] == [4, 5, 6, 7]


def test_offline_the_new_file_has_everything_and_takes_the_place_of_the_others(opened, tmp_path):
    for name in ("offline-run-0-mine", "offline-run-1-mine", "offline-run-1-other"):
        (tmp_path / "wandb" / name).mkdir(parents=True)
    assert opened(0, mode="offline", close=True)[0] == [1, 2, 3, 4, 5, 6, 7]
    assert {path.name for path in (tmp_path / "wandb").glob("offline-run-*")} == {
        "offline-run-1-other",
        "offline-run-2-mine",
    }
    aside = {path.name for path in (tmp_path / "wandb" / "superseded").iterdir()}
    assert aside == {"offline-run-0-mine", "offline-run-1-mine"}


def test_until_the_new_file_is_complete_the_others_stay(opened, tmp_path):
    (tmp_path / "wandb" / "offline-run-0-mine").mkdir(parents=True)
    opened(0, mode="offline")
    assert (tmp_path / "wandb" / "offline-run-0-mine").is_dir()


def test_a_file_that_was_uploaded_is_gone_on_after_and_not_named_again(opened, tmp_path):
    uploaded = tmp_path / "wandb" / "offline-run-0-mine"
    uploaded.mkdir(parents=True)
    (uploaded / "run-mine.wandb.synced").touch()
    assert opened(0, mode="offline", close=True) == ([4, 5, 6, 7], [3, 4, 5, 6])
    assert uploaded.is_dir()
    command = WandbRun(tmp_path, "mine").sync_command()
    assert "offline-run-2-mine" in command
    assert "offline-run-0-mine" not in command
