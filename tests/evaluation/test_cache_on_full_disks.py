"""A cache that cannot be written ends nothing; it is said in one line that names the file."""

import errno
import os

import pytest
import torch

from genexp.data import store
from genexp.evaluation import cache


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_cache_that_cannot_be_written_is_said_and_ends_nothing(number, tmp_path, monkeypatch, caplog, capsys):
    def fails(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(cache, "save_file", fails)
    monkeypatch.setattr(store, "save_file", fails)
    kept = cache.TensorCache(tmp_path)
    kept.store({"a": 1}, {"x": torch.zeros(1)})
    assert kept.load({"a": 1}) is None
    (told,) = [each.getMessage() for each in caplog.records]
    store._write_copy(tmp_path / "copy.safetensors", {"x": torch.zeros(1)}, "d", [], [])
    for line in (told, capsys.readouterr().out.strip()):
        assert str(tmp_path) in line
        assert os.strerror(number) in line
        assert "\n" not in line
    assert not list(tmp_path.iterdir())


def test_a_cache_below_a_file_ends_nothing(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    cache.TensorCache(tmp_path / "file" / "cache").store({"a": 1}, {"x": torch.zeros(1)})
    store._write_copy(tmp_path / "file" / "cache" / "copy", {"x": torch.zeros(1)}, "d", [], [])
    assert "cannot be kept in" in capsys.readouterr().out
