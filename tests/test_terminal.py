"""Tables on the terminal stay readable whatever its width, and no text steers it."""

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from stored_runs import write_run

import forking
import genexp
from genexp.terminal import PlainStream, console, plain, print_columns, print_table, typed_path

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
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert typed_path(tmp_path / "outputs/a-1") == "../outputs/a-1"
    assert typed_path(tmp_path.parent / "a") == str(tmp_path.parent / "a")
    monkeypatch.chdir("/usr")
    assert typed_path(Path("/tmp/a")) == "/tmp/a"
    monkeypatch.chdir(tmp_path)
    assert shlex.split(f"resume={typed_path(tmp_path / 'my sweep/ü')}") == ["resume=my sweep/ü"]


HOSTILE = "a\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J\x08\u202ebc\udcff"


def test_texts_only_show_and_name_what_steers_a_terminal():
    assert plain(HOSTILE) == r"ared\x1b]0;title\x07\x9b2J\x08\u202ebc\udcff"
    assert plain("a\tb\nc\r") == r"a\tb\nc\r"
    assert plain("a\tb\nc\r", lines=True) == "a\tb\nc" + r"\r"
    assert plain("Größe 3 × 4 – 數字 ± ↓") == "Größe 3 × 4 – 數字 ± ↓"


def test_nothing_that_a_command_prints_steers_the_terminal(tmp_path, monkeypatch):
    """A run of a stranger with escape characters in its name, its folder and its damage, through the real command."""
    folder = tmp_path / f"run{HOSTILE}"
    write_run(folder, "a", {}, record={"id": HOSTILE}, model__kind=HOSTILE, **{f"model__{HOSTILE[:-1]}": 1})
    write_run(folder, "b", {}, model__kind="b")
    (write_run(folder, f"c{HOSTILE}") / "run.json").write_text("{")
    arguments = ["compare", f"runs=[{tmp_path}]", "page=false", f"out={tmp_path}/out"]
    done = subprocess.run([*forking.genexp(), *arguments], capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert r"\x1b]0;title\x07" in done.stdout.decode()
    files = [path.read_bytes() for path in (tmp_path / "out").iterdir()]
    for written in (done.stdout, done.stderr, *files):
        assert not set(written.decode()) & set("\x1b\x07\x08\r\x9b\u202e")
    done = subprocess.run([*forking.genexp(), "compare", f"runs={HOSTILE[:-1]}"], capture_output=True)
    assert done.returncode == 1
    assert b"\x1b" not in done.stderr


def test_progress_lines_of_other_libraries_still_go_back_to_their_beginning():
    raw = io.StringIO()
    stream = PlainStream(raw)
    print("\r 10 %", end="\r", file=stream)
    print("good\rbad\x1b[2K", file=stream)
    assert raw.getvalue() == "\r 10 %\rgood\\rbad\\x1b[2K\n"


def test_tables_in_a_terminal_have_colours_of_their_own_and_none_of_a_text(monkeypatch):
    raw = io.StringIO()
    monkeypatch.setattr(raw, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdout", PlainStream(raw))
    print_table([("[/]name", HOSTILE)])
    print_columns(("[bold]x",), [(HOSTILE,)])
    console(sys.stdout).print(HOSTILE)
    text = raw.getvalue()
    assert "\x1b[1m" in text
    assert "[/]name" in text
    assert "[bold]x" in text
    assert not set(re.sub(r"\x1b\[[\d;]*m", "", text)) & set("\x1b\x07\x08\x9b\u202e")
    assert "\x1b[31m" not in text


def test_only_one_place_makes_a_console():
    sources = Path(genexp.__file__).parent.rglob("*.py")
    found = [path.name for path in sources if "import Console" in path.read_text()]
    assert found == ["terminal.py"]
