"""Commands that need a run and were given none say so at once, with the newest finished run and what to type."""

import json
import os
import sys

import pytest

from genexp.commands.evaluate import evaluate
from genexp.commands.launch import launch
from genexp.commands.restore import restore
from genexp.commands.sample import sample
from genexp.commands.stylize import stylize

COMMANDS = {"sample": sample, "evaluate": evaluate, "stylize": stylize, "restore": restore}
PICTURES = ["content=china.jpg", "style=flower.jpg", "method=adain"]


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """A function that gives what a command says, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENEXP_OUTPUTS")

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", ["genexp", name, *arguments])
        with pytest.raises(SystemExit) as ended:
            launch(name, COMMANDS[name], list(arguments))
        assert ended.value.code == 1
        return capsys.readouterr().err

    return run


def begin(folder, age, **record):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"id": folder.name, **record}))
    os.utime(folder / "run.json", (10**9 - age, 10**9 - age))


def test_the_newest_finished_run_is_offered(told, tmp_path):
    for name, age, state in (("old", 3, "finished"), ("new one", 2, "finished"), ("running", 1, "running")):
        begin(tmp_path / "outputs" / "vae" / name, age, state=state, choices={"model": "vae"})
    begin(tmp_path / "outputs" / "adain" / "a", 9, state="finished", choices={"model": "adain"})
    (tmp_path / "outputs" / "damaged").mkdir()
    (tmp_path / "outputs" / "damaged" / "run.json").write_text("[]")
    command = "the newest finished one is  genexp {} run='outputs/vae/new one'\n"
    assert told("sample") == f"genexp sample: run must name the run to draw from, got none; {command.format('sample')}"
    assert told("sample", "run=null") == told("sample")
    assert told("evaluate", "num=9").endswith(f"must be given, got neither; {command.format('evaluate')}")
    found = told("stylize", *PICTURES)
    assert found.endswith(f"the newest finished one is  genexp stylize {' '.join(PICTURES)} run=outputs/adain/a\n")


def test_where_there_is_none_it_is_said_how_one_is_made(told):
    made = "there is no finished one below outputs; genexp train makes one\n"
    assert told("sample").endswith(made)
    assert told("evaluate").endswith(made)
    assert told("stylize", *PICTURES).endswith("below outputs; genexp train model=adain makes one\n")
    assert told("restore", "input=a.png").endswith("below outputs; genexp train model=restoration makes one\n")
    assert told("evaluate", "paths.outputs=elsewhere").endswith("below elsewhere; genexp train makes one\n")
