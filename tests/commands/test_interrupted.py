"""Ctrl-C in any command: one line, the status of an interrupted program, and no picture that is half done."""

import signal
import sys

import pytest
from PIL import Image

import tiny
from genexp.__main__ import main
from genexp.callbacks.progress import ImageProgress
from genexp.textures.growing import EfrosLeung


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a content of two pictures; Lightning has Ctrl-C ignored once it has seen one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (32, 32), (200, 90, 10)).save(tmp_path / f"photos/{name}.png")
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what was started in the background ignores it
    yield tmp_path
    signal.signal(signal.SIGINT, before)


def interrupted(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["genexp", *arguments])
    status = main([*arguments, "threads=1", "device=cpu"])
    shown = capsys.readouterr().err
    assert status == 130
    assert "Traceback" not in shown
    assert shown.splitlines()[-1] == f"genexp {arguments[0]}: interrupted"


def press(*arguments, **options):
    signal.raise_signal(signal.SIGINT)


def test_a_command_ends_in_one_line(place, monkeypatch, capsys):
    monkeypatch.setattr(EfrosLeung, "__call__", press)
    interrupted(monkeypatch, capsys, "stylize", "style=photos/a.png", "method=efros_leung", "size=16")
    assert [each.name for each in place.iterdir()] == ["photos"]


def test_of_a_folder_the_pictures_that_were_done_stay(place, monkeypatch, capsys):
    counted, batches = ImageProgress.on_train_batch_end, []

    def second(self, *arguments):
        batches.append(1)
        return press() if len(batches) == 3 else counted(self, *arguments)

    monkeypatch.setattr(ImageProgress, "on_train_batch_end", second)
    typed = ["content=photos", "style=china.jpg", "size=32", "steps=2", "out=made"]
    interrupted(monkeypatch, capsys, "stylize", *typed)
    assert [each.name for each in (place / "made").iterdir()] == ["a.png"]
    assert Image.open(place / "made/a.png").size == (32, 32)


def test_restoring_a_folder_ends_so_too(place, monkeypatch, capsys):
    from genexp.restoration.restorer import Restorer

    short = ["data.batch_size=4", "training.max_images=4", "training.evaluate_every=4", "training.checkpoint_every=4"]
    short += ["data.source.eval_patches=2", "metrics=translation", f"paths.outputs={place / 'outputs'}"]
    run = tiny.run(["experiment=espcn/photographs", *tiny.COMMON, *short])
    restored, calls = Restorer.__call__, []

    def second(self, *arguments):
        calls.append(1)
        return press() if len(calls) == 2 else restored(self, *arguments)

    monkeypatch.setattr(Restorer, "__call__", second)
    interrupted(monkeypatch, capsys, "restore", f"run={run.path}", "input=photos")
    assert [each.name for each in (place / "photos_restored").iterdir()] == ["a.png"]


def test_a_programmer_who_asks_for_full_errors_gets_them(place, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(EfrosLeung, "__call__", press)
    monkeypatch.setattr(sys, "argv", ["genexp"])
    with pytest.raises(KeyboardInterrupt):
        main(["stylize", "style=photos/a.png", "method=efros_leung", "size=16", "threads=1", "device=cpu"])
