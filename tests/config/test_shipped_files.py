"""What is kept of the shipped files is what Hydra reads, however often and whoever changes what it got."""

import os

import pytest
import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from omegaconf import OmegaConf

from genexp.config.compose import conf_dir, initialised
from genexp.config.shipped_files import ShippedFiles


def content(result):
    return OmegaConf.to_yaml(result.config), result.header, result.path, result.provider, result.is_schema_source


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of its own in the place of the shipped one."""
    monkeypatch.setattr(ShippedFiles, "folder", f"{tmp_path.resolve()}/")
    monkeypatch.setattr(ShippedFiles, "kept", {})
    return tmp_path


def both(folder):
    return FileConfigSource("main", str(folder)), ShippedFiles("main", str(folder))


def test_every_shipped_file_is_what_hydra_reads():
    with initialised():
        assert SourcesRegistry.instance().resolve("file") is ShippedFiles
        hydras, ours = both(conf_dir())
        for path in conf_dir().rglob("*.yaml"):
            name = str(path.relative_to(conf_dir()))
            assert content(ours.load_config(name)) == content(hydras.load_config(name))
            assert path.resolve() in ours.kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# @package _global_\na: 1\n",
        "a: [1e-3, 1e3, 1_000, .5, 010, 0x1f, yes, off, null, ~, 1:30, .inf]\nb: {2: x, true: y}\n",
        "day: 2026-11-28\ntime: 2026-11-28 10:00:00\nword: ${day}\nmust: ???\n",
        "a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: |\n  two\n  lines\nd: é\n",
    ],
)
def test_numbers_dates_and_words_follow_the_rules_of_omegaconf(text, folder):
    (folder / "x.yaml").write_text(text, encoding="utf-8")
    hydras, ours = (source.load_config("x") for source in both(folder))
    assert content(ours) == content(hydras)
    assert OmegaConf.to_container(ours.config, resolve=False) == OmegaConf.to_container(hydras.config, resolve=False)


@pytest.mark.parametrize("text", ["a: [1\n", "a: 1\nb: 2\na: 3\n", "a: b: c\n"])
def test_a_fault_is_told_as_hydra_tells_it(text, folder):
    (folder / "x.yaml").write_text(text)
    told = []
    for source in both(folder):
        with pytest.raises(yaml.YAMLError) as raised:
            source.load_config("x")
        told.append(str(raised.value))
    assert told[0] == told[1]


def test_who_changes_what_was_read_changes_nothing_for_others_and_a_changed_file_is_read_again(folder):
    path, (_, ours) = folder / "x.yaml", both(folder)
    path.write_text("a: 1\n")
    first = ours.load_config("x")
    first.config.a, first.header["package"] = 2, "elsewhere"
    assert (ours.load_config("x").config.a, ours.load_config("x").header.get("package")) == (1, None)
    path.write_text("a: 3\n")
    os.utime(path, ns=(0, 0))
    assert ours.load_config("x").config.a == 3


def test_files_that_are_not_shipped_are_left_to_hydra(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("mine")
    (other / "x.yaml").write_text("a: 1\n")
    (folder / "link").symlink_to(other)
    for place in (other, folder / "link"):
        assert ShippedFiles("mine", str(place)).load_config("x").config == {"a": 1}
    assert ShippedFiles.kept == {}
