"""Name, group and tags of a run: what was set stays, a job of a sweep belongs to it, and what is trained is said."""

import json

import pytest
from omegaconf import OmegaConf

from genexp.config.compose import compose
from genexp.runs.run_folder import RunFolder
from genexp.tracking.logger_nodes import logger_nodes
from genexp.training.settle import settled as settled_config
from genexp.training.tags import group_and_tags, id_from_agent, name_of, sweep_of
from recorded import SWEEP


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "sweep.json").write_text(json.dumps(SWEEP))
    return tmp_path


def settled(*overrides):
    return OmegaConf.create(settled_config(compose("train", list(overrides))))


def test_a_job_of_a_sweep_has_the_sweep_as_its_group_unless_one_is_set(sweep):
    assert settled("model=gan", f"run_dir={sweep}/000").group == "2026_abc"
    assert settled("model=gan", f"run_dir={sweep}/000", "group=mine").group == "mine"
    assert settled("model=gan", f"run_dir={sweep}/000/deeper").group is None
    assert settled("model=gan").group is None


def test_the_group_reaches_the_logger_through_the_configuration_and_after_a_resume_through_the_record(sweep):
    assert settled("model=gan", f"run_dir={sweep}/000").logger.wandb.group == "2026_abc"
    folder = RunFolder.claim(sweep / "000", {"id": "abc", "name": "gan", "group": "2026_abc"})
    assert logger_nodes(settled("model=gan"), folder).wandb.group == "2026_abc"


def test_jobs_of_one_process_and_of_agents_are_grouped_too(monkeypatch):
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    monkeypatch.setenv("WANDB_SWEEP_ID", "agents")
    assert sweep_of(None) == "agents"
    assert id_from_agent() is None
    monkeypatch.setenv("WANDB_RUN_ID", "abcd1234")
    assert id_from_agent() == "abcd1234"
    monkeypatch.delenv("WANDB_SWEEP_ID")
    assert id_from_agent() is None
    monkeypatch.setenv("WANDB_SWEEP_ID", "agents")
    config = compose("train", ["hydra.sweep.dir=/outputs/multirun/now_abc"], with_hydra=True)
    config.hydra.mode = RunMode.MULTIRUN
    monkeypatch.setattr(HydraConfig.instance(), "cfg", config)
    assert sweep_of(None) == "now_abc"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["experiment=toy/ring8"], "toy_ring8"),
        (["experiment=acgan/cifar10"], "acgan_cifar10"),  # and not that of the recipe it builds on
        (["experiment=toy/ring8", "name=mine"], "mine"),
        (["experiment=stable_diffusion/pipeline"], "stable_diffusion"),  # a recipe that says it
        (["model=gan"], None),
    ],
)
def test_a_run_that_is_given_no_name_has_that_of_its_experiment(overrides, name, monkeypatch):
    from hydra.core.hydra_config import HydraConfig

    config = compose("train", overrides, with_hydra=True)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", config)
    assert name_of(config) == name


@pytest.mark.parametrize(
    ("overrides", "tags"),
    [
        (["model=gan"], ["gan"]),
        (["model=vae", "tags=[mine,vae]"], ["mine", "vae"]),
        (["model=diffusion"], ["diffusion"]),
        (["model=adain", "data=content_style"], ["stylisation"]),
    ],
)
def test_tags_name_the_family(overrides, tags):
    assert list(settled(*overrides).tags) == tags


def test_tags_name_the_experiment(monkeypatch):
    from hydra.core.hydra_config import HydraConfig

    config = compose("train", ["experiment=quickstart"], with_hydra=True)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", config)
    config = OmegaConf.create({"group": None, "tags": [], "run_dir": None, "model": config.model})
    assert group_and_tags(config) == (None, ["diffusion", "quickstart"])
