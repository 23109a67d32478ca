"""The command line as a stranger meets it: fast help, clear refusals, no torch before it is needed."""

import re
import subprocess
import sys

import pytest
import yaml

import forking
from genexp.commands.usage import usage
from genexp.config.compose import conf_dir
from genexp.config.composition_errors import options


def genexp(*arguments, cwd=None, program=None):
    command = [*(program or forking.genexp()), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def modules_loaded_by(*arguments):
    code = (
        f"import sys, runpy; sys.argv = ['genexp', *{list(arguments)!r}]\n"
        "try: runpy.run_module('genexp', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted(name for name in sys.modules if '.' not in name))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    return set(out.split("LOADED ")[1].split())


def test_help_names_every_command_and_loads_nothing_heavy():
    from genexp.__main__ import COMMANDS

    done = genexp("--help", program=forking.FRESH)
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)
    assert not modules_loaded_by("--help") & {"torch", "lightning", "hydra", "omegaconf", "wandb"}


@pytest.mark.parametrize("name", sorted(path.stem for path in conf_dir().glob("[!_]*.yaml")))
def test_the_help_of_a_command_describes_every_value_and_names_the_choices_of_its_groups(name):
    path = conf_dir() / f"{name}.yaml"
    text = usage(path)
    content = yaml.safe_load(path.read_text())
    words = " ".join(text.split())
    for key in set(content) - {"defaults", "hydra"}:
        typed = {"ablations": "ablation"}.get(key, key)
        assert f" {typed}=" in words, key
    for group in (key for entry in content["defaults"] if isinstance(entry, dict) for key in entry):
        if not group.startswith(("override ", "paths")):
            assert {each for each in options(group) if "/" not in each} <= set(re.split(r"[ ,]+", words)), group
    comments = re.findall(r"^\w+: .*?# (.*)$", path.read_text(), re.MULTILINE)
    assert len(comments) >= len(content) - 2
    assert all(" ".join(each.split()) in words for each in comments)
    assert max(map(len, text.splitlines()[5:])) <= 120


@pytest.mark.parametrize("path", sorted(conf_dir().glob("*.yaml")), ids=lambda path: path.stem)
def test_the_help_of_a_command_says_all_that_its_file_does(path):
    said = " ".join(usage(path).split())
    inside = path.read_text().partition("defaults:\n")[2].partition("\nhydra:")[0]
    comments = re.findall(r"^ {8,}# (.*)", inside, re.MULTILINE)
    assert [each for each in comments if each not in said] == []


def test_a_comment_that_goes_on_before_any_key_is_of_none(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "# own\ndefaults:\n          # further\n  - data: digits  # images\n\n          # above\nseed: 0  # one\n"
    )
    text = usage(path)
    assert "data=digits" in text
    assert [line.split() for line in text.splitlines() if "seed=" in line] == [["seed=0", "one"]]
    assert "above" not in text


def test_the_help_of_a_command_loads_nothing_heavy():
    assert "key=value" in genexp("compare", "--help").stdout
    assert not modules_loaded_by("train", "--help") & {"torch", "lightning", "hydra", "wandb"}


def test_showing_the_configuration_imports_no_torch():
    done = genexp("train", "--cfg", "job", program=forking.FRESH)
    assert done.returncode == 0, done.stderr
    assert "max_images" in done.stdout
    assert not modules_loaded_by("train", "--cfg", "job") & {"torch", "lightning", "torchvision", "wandb"}


def test_what_hydra_takes_is_shown_and_the_completion_it_names_is_ours():
    done = genexp("train", "--hydra-help")
    assert done.returncode == 0, done.stderr
    assert "-sc install=bash" in done.stdout


@pytest.mark.parametrize("line", ["genexp train model=", "genexp train model.network."])
def test_a_line_is_completed_without_torch(line, monkeypatch):
    monkeypatch.setenv("COMP_LINE", line)
    heavy = {"torch", "lightning", "wandb", "torchvision"} | ({"hydra"} if "=" in line else set())
    assert not modules_loaded_by("-sc", "query=bash") & heavy


@pytest.mark.parametrize("name", ["sample", "evaluate"])
def test_a_missing_run_is_told_before_torch_is_imported(name):
    assert not modules_loaded_by(name) & {"torch", "lightning", "torchvision"}


def test_an_unknown_command_is_refused_with_the_nearest_one():
    done = genexp("tarin")
    assert done.returncode == 2
    assert "got 'tarin'; did you mean train?" in done.stderr


def test_a_wrong_choice_lists_the_right_ones(tmp_path):
    done = genexp("train", "model=difusion", cwd=tmp_path)
    assert done.returncode != 0
    assert "diffusion" in done.stderr
    assert "gan" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_typo_on_the_command_line_fails_before_anything_is_made(tmp_path):
    done = genexp("train", "+training.max_image=5", cwd=tmp_path)
    assert done.returncode != 0
    assert "training.max_image" in done.stderr
    assert "did you mean max_images?" in done.stderr
    assert "the command line" in done.stderr
