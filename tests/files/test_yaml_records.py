"""A few lines of aliases blow up no reader of YAML that anybody may have written."""

from functools import partial

import pytest
import yaml

from genexp.config.compose import load_config
from genexp.files import yaml_records as yaml_files
from genexp.files.yaml_records import read_yaml
from genexp.runs.run_folder import DamagedRun
from genexp.runs.stored import read_run

BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))


@pytest.mark.parametrize("read", [read_yaml, partial(load_config, what="a question")])
def test_few_aliases_that_would_blow_up_are_refused(read, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(BOMB)
    assert BOMB.count("*") == 81
    with pytest.raises(ValueError, match="at most 100,000 values with its aliases, got more"):
        read(path)


@pytest.mark.parametrize("name", ["config.yaml", "overrides.yaml"])
def test_a_comparison_lists_such_a_run_as_damaged(name, tmp_path):
    from stored_runs import write_run

    folder = write_run(tmp_path, "run", {"fd/pixels": 1.0})
    (folder / name).write_text(BOMB)
    with pytest.raises(DamagedRun, match="at most 100,000 values") as raised:
        read_run(folder)
    assert "\n" not in str(raised.value)


def test_an_alias_around_itself_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_text("a: &a [1, *a]\n")
    with pytest.raises(ValueError, match=r"not around it, got \*a"):
        read_yaml(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "- " * 100_000, "? " * 100_000, "{a: " * 100_000, "\n".join(" " * i + "a:" for i in range(3000))],
)
def test_what_is_nested_without_end_is_refused_before_it_ends_the_process(text, tmp_path):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ValueError, match="nested at most 100 deep"):
        read_yaml(tmp_path / "x.yaml")


def test_a_key_that_hides_another_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_text("a: 1\nb: {c: 1, d: 2, c: 3}\n")
    with pytest.raises(yaml.YAMLError, match="duplicate key c"):
        read_yaml(tmp_path / "x.yaml")


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(yaml_files, "MOST_BYTES", 10)
    (tmp_path / "x.yaml").write_text("a: 1\nb: [1, 2]\n")
    with pytest.raises(ValueError, match="at most 10 bytes, got more"):
        read_yaml(tmp_path / "x.yaml")


def test_the_limit_counts_what_the_aliases_stand_for(tmp_path, monkeypatch):
    text = "a: &a {x: 1, y: [2, 3]}\nb: *a\nc: [*a, *a]\n"
    (tmp_path / "x.yaml").write_text(text)

    def values(node):
        inside = [*node, *node.values()] if isinstance(node, dict) else node if isinstance(node, list) else ()
        return 1 + sum(map(values, inside))

    content = yaml.safe_load(text)
    monkeypatch.setattr(yaml_files, "MOST_VALUES", values(content))
    assert read_yaml(tmp_path / "x.yaml") == content
    monkeypatch.setattr(yaml_files, "MOST_VALUES", values(content) - 1)
    with pytest.raises(ValueError, match="values with its aliases"):
        read_yaml(tmp_path / "x.yaml")
