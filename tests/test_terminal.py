"""Tables on the terminal stay readable whatever its width."""

import shlex
import sys

import pytest

from genexp.terminal import print_columns, typed_path

HEADERS = ("run", "model.latent_size", "fd/digits_classifier@42f2cb7d")
ROWS = [("abc12345", "16", "-31.11 ± 1.06"), ("def67890", "4", "7.2")]


@pytest.fixture
def shown(monkeypatch, capsys):
    def print_at(width, rows=ROWS):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: width is not None)
        monkeypatch.setenv("COLUMNS", str(width or 1000))
        print_columns(HEADERS, rows)
        return capsys.readouterr().out

    return print_at


def test_without_a_terminal_columns_are_aligned_and_nothing_is_cut(shown):
    header, *lines = shown(None).splitlines()
    assert header.split() == list(HEADERS)
    assert [line.index(row[2]) for line, row in zip(lines, ROWS, strict=True)] == [header.index(HEADERS[2])] * 2


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("count", [2, 60])
def test_a_terminal_breaks_no_header_and_no_number(shown, width, count):
    text = shown(width, ROWS * (count // 2))
    for each in (*HEADERS, "-31.11 ± 1.06"):
        assert each in text
    assert text.count("abc12345") == count // 2


def test_a_narrow_terminal_shows_a_few_rows_as_blocks_within_its_width(shown):
    blocks = shown(48).strip().split("\n\n")
    assert [line.split()[-1] for line in blocks[1].splitlines()] == list(ROWS[1])
    assert max(map(len, shown(48).splitlines())) <= 48


def test_a_path_is_shown_as_a_shell_takes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert typed_path(tmp_path / "outputs/a-1") == "outputs/a-1"
    assert shlex.split(f"resume={typed_path(tmp_path / 'my sweep/ü')}") == ["resume=my sweep/ü"]
