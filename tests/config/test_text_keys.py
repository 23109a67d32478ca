"""A value whose key means text is the text that was written, on every command line and in every file."""

import ast
import inspect
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from genexp.commands.launch import launch
from genexp.config import text_keys
from genexp.config.compose import compose, conf_dir
from genexp.config.text_keys import is_text
from genexp.files.yaml_records import read_yaml

YAML = sorted(conf_dir().rglob("*.yaml"))
COMMANDS = sorted(path.stem for path in conf_dir().glob("[!_]*.yaml"))


def nodes(content):
    if isinstance(content, dict):
        yield content
    for each in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from nodes(each)


def declared():
    """Every argument of the classes and functions that conf/ builds: its name, and the kinds that it is declared as."""
    from genexp.config.targets import locate

    found = defaultdict(set)
    targets = {
        each["_target_"] for path in YAML for each in nodes(yaml.safe_load(path.read_text())) if "_target_" in each
    }
    for target in sorted(each for each in targets if not each.startswith("hydra_plugins.")):
        part = locate(target)
        functions = [each.__init__ for each in part.__mro__[:-1]] if inspect.isclass(part) else [part]
        for function in functions:
            for parameter in inspect.signature(function).parameters.values():
                if parameter.annotation is not parameter.empty:
                    found[parameter.name].add(str(parameter.annotation))
    return found


NOISE = {
    "class",
    "typing",
    "pathlib",
    "collections",
    "abc",
    "Union",
    "Optional",
    "NoneType",
    "None",
    "Sequence",
    "list",
}


def test_the_table_of_arguments_is_that_of_the_signatures():
    for name, annotations in declared().items():
        kinds = {word for each in annotations for word in re.findall(r"[A-Za-z_]\w*", each)} - NOISE
        if kinds <= {"str", "Path"}:
            assert name in text_keys._OF_PARTS, f"{name} is declared as {annotations}"
        if name in text_keys._OF_PARTS:
            assert not kinds & {"int", "float", "bool", "Tensor"}, f"{name} is declared as {annotations}"


def test_the_groups_are_those_of_conf():
    folders = {each.name for each in conf_dir().iterdir() if each.is_dir()}
    assert folders - {"ablation", "hydra"} == text_keys.GROUPS


def test_keys_of_commands_that_begin_as_text_or_nothing_are_text_or_are_known_as_something_else():
    numbers = ["num", "label", "columns", "threads", "batch_size", "size", "style_size", "alpha", "steps"]
    numbers += ["seed", "seeds", "slots", "timeout", "trust", "singles", "interpolate", "frames", "rows", "shares"]
    numbers += ["style_weights", "strength", "style_scale", "switch_at", "soup", "per_class", "copies", "tile", "share"]
    for name in COMMANDS:
        content = yaml.safe_load((conf_dir() / f"{name}.yaml").read_text())
        for key, value in content.items():
            if key not in ("defaults", "hydra", "train", *numbers):
                assert is_text(key) == (value is None or isinstance(value, str | list)), (name, key)


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(conf_dir())))
def test_no_shipped_file_has_a_number_where_text_is_meant(path):
    def values(node, words=()):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            yield (*words, str(key)), value
            yield from values(value, (*words, str(key)))

    for words, value in values({path.parent.name: yaml.safe_load(path.read_text())}):
        if len(words) > 2 and is_text(".".join(words)):
            assert not isinstance(value, bool | int | float), (words, value)


WRITTEN = [
    "42",
    "007",
    "1e3",
    "1_000",
    "nan",
    "true",
    "on",
    "yes",
    "2024-01-01",
    "12:30:45",
    "0x1f",
    "-.5",
    ".inf",
    "~x",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_a_text_survives_the_command_line_the_configuration_and_its_record(text, tmp_path):
    typed = [
        f"{key}={text}" for key in ("name", "group", "notes", "run_dir", "data.source.root", "logger.wandb.project")
    ]
    config = compose("train", ["data=folder", *typed, f"tags=[a,{text}]"])
    found = [
        config.name,
        config.group,
        config.notes,
        config.run_dir,
        config.data.source.root,
        config.logger.wandb.project,
    ]
    assert [*found, config.tags[1]] == [text] * 7
    record = tmp_path / "config.yaml"
    record.write_text(OmegaConf.to_yaml(config))
    assert read_yaml(record)["tags"] == ["a", text]
    assert OmegaConf.load(record).name == text


def test_texts_in_a_file_of_ones_own_are_taken_as_they_were_written(tmp_path):
    (tmp_path / "experiment").mkdir()
    lines = ["# @package _global_", "name: 007   # mine", f"tags: [{', '.join(WRITTEN)}, b]", "seed: 007"]
    lines += ["logger:", "  wandb:", "    project: on", "model:", "  network:", "    width: 8"]
    (tmp_path / "experiment" / "2024.yaml").write_text("\n".join(lines))
    config = compose("train", ["experiment=2024", f"hydra.searchpath=[file://{tmp_path}]"])
    assert list(config.tags) == [*WRITTEN, "b"]
    assert [config.name, config.logger.wandb.project] == ["007", "on"]
    assert (config.seed, config.model.network.width) == (7, 8)


def test_null_stays_null_and_an_interpolation_of_a_number_becomes_its_text():
    config = compose("train", ["name=null", "group=${seed}", "notes=run ${seed}", "seed=3"])
    assert config.name is None
    assert config.group == "3"
    assert config.notes == "run 3"


TYPED = {
    "train": ["name", "group", "notes", "run_dir", "job_type"],
    "sample": ["run", "checkpoint", "out", "weights"],
    "evaluate": ["run", "generated", "reference", "floor", "cache", "out"],
    "stylize": ["content", "style", "masks", "out", "run", "model.features.weights"],
    "restore": ["run", "other_run", "input", "out", "checkpoint", "weights"],
    "play": ["run", "checkpoint", "weights"],
    "augment": ["run", "out", "checkpoint", "weights"],
    "export": ["run", "out", "checkpoint", "weights", "licence", "intended_use"],
    "import": ["folder", "name"],
    "compare": ["runs", "group", "title", "question", "project", "out", "sort"],
    "reproduce": ["ablations", "publish", "out"],
}


@pytest.mark.parametrize("text", ["2024", "007", "1e3"])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_given_the_text(name, text, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["genexp", name])
    given = []
    launch(name, given.append, [f"{key}={text}" for key in TYPED[name]])
    (config,) = given
    assert {key: OmegaConf.select(config, key) for key in TYPED[name]} == dict.fromkeys(TYPED[name], text)


def test_the_table_is_read_without_importing_anything():
    tree = ast.parse(Path(text_keys.__file__).read_text())
    assert not [each for each in ast.walk(tree) if isinstance(each, ast.Import | ast.ImportFrom)]
