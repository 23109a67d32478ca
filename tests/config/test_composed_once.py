"""What is composed once is what Hydra composes, node by node, however often and whoever changes what it got."""

import os
import re
from pathlib import Path

import hydra
import omegaconf.base
import pytest
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, ListConfig, OmegaConf

from genexp.config import composed_once
from genexp.config.compose import compose
from genexp.config.composed_once import compose_once, hydras_sources
from genexp.config.shipped_files import ShippedFiles, keep_shipped_files

CHOICES = [
    ("train", []),
    ("train", ["model=gan", "data=shapes", "seed=3", "+notes_of_mine=[1,2]"]),
    ("train", ["experiment=sngan/projection", "model.critic.discriminator.width=8", "metrics=[fd,kid]"]),
    ("train", ["model=vae", "~callbacks.sample_grid", "hydra/launcher=pool", "logger=[csv,tensorboard]"]),
    ("train", ["debug=fast", "training.max_images=null", "name=${model.network.width}"]),
    ("sample", ["run=nowhere", "sampler=ddim"]),
]
PATCHED = [
    (defaults_list, "_create_interpolation_map"),
    *((source, "load_config") for source in hydras_sources()),
    (ConfigLoaderImpl, "_compose_config_from_defaults_list"),
    (omegaconf.base, "parse"),
]


def nodes(node, path=""):
    """Every node with its type, flags and metadata, and what it holds before and after interpolation."""
    kept = node._metadata
    found = [(path, type(node), kept.ref_type, kept.object_type, kept.optional, kept.flags)]
    if isinstance(node, DictConfig | ListConfig) and not node._is_none() and not node._is_missing():
        keys = range(len(node)) if isinstance(node, ListConfig) else list(node)
        assert all(node._get_node(key)._get_parent() is node for key in keys)
        return [*found, *(each for key in keys for each in nodes(node._get_node(key), f"{path}.{key}"))]
    return [*found, node._value()]


@pytest.fixture
def nothing_kept(monkeypatch):
    monkeypatch.setattr(composed_once, "_merged", {})


@pytest.mark.parametrize(("name", "overrides"), CHOICES, ids=str)
def test_a_composition_is_hydras(name, overrides, monkeypatch, nothing_kept):
    ours = [compose(name, overrides, with_hydra=True) for _ in range(2)]
    assert len(composed_once._merged) == 1
    for place, attribute in PATCHED:
        monkeypatch.setattr(place, attribute, getattr(place, attribute).__wrapped__)
    hydras = compose(name, overrides, with_hydra=True)
    for each in ours:
        assert nodes(each) == nodes(hydras)
        assert OmegaConf.to_container(each.hydra.job, resolve=False) == OmegaConf.to_container(hydras.hydra.job)


def test_who_changes_what_was_composed_changes_nothing_for_others(nothing_kept):
    for _ in range(3):
        config = compose("train", ["model=gan"])
        assert config.model.critic.discriminator.width != 7
        config.model.critic.discriminator.width = 7


@pytest.fixture
def folder(tmp_path, monkeypatch, nothing_kept):
    """A folder of its own in the place of the shipped one, from which its primary config composes."""
    compose_once()
    keep_shipped_files(tmp_path)
    monkeypatch.setattr(ShippedFiles, "folder", f"{tmp_path.resolve()}/")
    monkeypatch.setattr(ShippedFiles, "kept", {})
    (tmp_path / "part").mkdir()
    (tmp_path / "x.yaml").write_text("defaults: [part: a, other: '${part}', _self_]\nlength: 1\n")
    (tmp_path / "part/a.yaml").write_text("width: 1\n")
    (tmp_path / "part/b.yaml").write_text("width: 2\n")
    for name in ("a", "b"):
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / f"other/{name}.yaml").write_text(f"goes_with: {name}\n")
    return tmp_path


def composed(folder, *overrides):
    with hydra.initialize_config_dir(str(folder), version_base="1.3"):
        return OmegaConf.to_container(hydra.compose("x", list(overrides)))


def test_choices_are_interpolated_and_kept_apart(folder):
    for _ in range(2):
        for name, width in (("a", 1), ("b", 2)):
            other = {"part": {"width": width}, "other": {"goes_with": name}, "length": 1}
            assert composed(folder, f"part={name}") == other
    assert composed(folder, "length=5")["length"] == 5
    assert len(composed_once._merged) == 2


def test_a_changed_file_is_composed_anew(folder):
    assert composed(folder)["part"] == {"width": 1}
    (folder / "part/a.yaml").write_text("width: 3\n")
    os.utime(folder / "part/a.yaml", ns=(0, 0))
    assert composed(folder)["part"] == {"width": 3}


def test_files_of_ones_own_are_composed_each_time(folder, tmp_path_factory):
    mine = tmp_path_factory.mktemp("mine")
    (mine / "part").mkdir()
    (mine / "other").mkdir()
    (mine / "other/c.yaml").write_text("goes_with: c\n")
    for width in (1, 2):
        (mine / "part/c.yaml").write_text(f"width: {width}\n")
        assert composed(folder, "part=c", f"hydra.searchpath=[file://{mine}]")["part"] == {"width": width}
    assert composed_once._merged == {}


def test_what_is_kept_is_bounded(monkeypatch, nothing_kept):
    monkeypatch.setattr(composed_once, "MOST_KEPT", 2)
    for model in ("gan", "vae", "diffusion", "gan"):
        assert model in str(compose("train", [f"model={model}"]).model._target_).lower()
    assert len(composed_once._merged) == 2


def test_a_fault_of_an_interpolation_is_told_each_time():
    for _ in range(2):
        with pytest.raises(omegaconf.errors.GrammarParseError):
            OmegaConf.create({"a": "${b", "b": 1}).a  # noqa: B018


def test_a_configuration_has_one_id_for_its_sweep_and_another_configuration_another(tmp_path):
    configs = [compose("train", [f"paths.outputs={tmp_path}"], with_hydra=True) for _ in range(2)]
    names = [Path(config.hydra.sweep.dir).name for config in (*configs, *configs)]
    assert names[:2] == names[2:]
    ids = {name.rpartition("_")[2] for name in names}
    assert len(ids) == 2
    assert all(re.fullmatch("[a-z2-9]{8}", each) for each in ids)
