"""Which unfinished run a configuration continues: one from before a new key, or under other names, too."""

import copy

import pytest
from omegaconf import OmegaConf

from genexp.config.compose import compose, config_digest, resolved
from genexp.runs.run_folder import OVERRIDES, RunFolder
from genexp.training.same_run import is_of, with_new_keys

TYPED = ["model=gan", "sampler=latent", "model.critic_steps=2"]


def configuration(*typed):
    return resolved(compose("train", ["threads=1", *TYPED, *typed]))


def begun(path, change=lambda plain: None, **record):
    """A run of TYPED, whose configuration an earlier version has written otherwise."""
    plain = copy.deepcopy(configuration())
    change(plain)
    folder = RunFolder.claim(path / "run", {"state": "failed", "config_digest": config_digest(plain), **record})
    folder.config_path.write_text(OmegaConf.to_yaml(OmegaConf.create(plain)))
    (folder.path / OVERRIDES).write_text(OmegaConf.to_yaml(OmegaConf.create(TYPED)))
    return folder


def before_a_key(plain):
    del plain["training"]["recompute"]


def before_a_class_moved(plain):
    plain["extractor"]["_target_"] = "genexp.evaluation.extractors.ClassifierFeatures"


def before_a_key_had_its_name(plain):
    plain["model"]["accumulate"] = plain["training"].pop("accumulate")


CHANGES = (before_a_key, before_a_class_moved, before_a_key_had_its_name)


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_of_an_earlier_version_is_found_and_has_what_is_new(change, tmp_path):
    folder, now = begun(tmp_path, change), configuration()
    assert folder.record["config_digest"] != config_digest(now)
    assert is_of(folder, now)
    assert with_new_keys(folder.config, now) == now


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("typed", ["training.recompute=true", "model.critic_steps=3", "training.accumulate=2"])
def test_another_value_is_another_run(change, typed, tmp_path):
    assert not is_of(begun(tmp_path, change), configuration(typed))


def test_what_changes_no_result_may_differ(tmp_path):
    assert is_of(begun(tmp_path, before_a_key), configuration("logger=none", "notes=other"))


def test_a_default_that_has_changed_since_is_another_run(tmp_path):
    folder = begun(tmp_path, lambda plain: plain["training"].update(accumulate=3))
    assert not is_of(folder, configuration())
    assert is_of(folder, configuration("training.accumulate=3"))


def test_a_key_that_is_no_more_is_another_run(tmp_path):
    assert not is_of(begun(tmp_path, lambda plain: plain["training"].update(gone=1)), configuration())


def test_a_run_that_was_changed_on_its_way_is_of_no_configuration(tmp_path):
    assert not is_of(begun(tmp_path, before_a_key, changed={"data.limit": [None, 3]}), configuration())
