"""A person is told in one line what went wrong; what only a programmer can use keeps its traceback."""

import errno
import os

import pytest
import yaml
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from genexp.config.check import problems_of
from genexp.config.keys import flat
from genexp.config.messages import JobFailed, told


def test_refusals_and_failed_jobs_are_told_as_they_are():
    assert told(ValueError("width must be at least 1, got 0")) == "width must be at least 1, got 0"
    assert told(JobFailed("4 parts are missing")) == "4 parts are missing"


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EROFS, "read-only file system"), (errno.ENOTDIR, "not a directory")]
)
def test_errors_of_files_name_the_file(number, words):
    assert told(OSError(number, os.strerror(number), "out/table.md")) == f"out/table.md: {words}"


def test_a_full_disk_is_told_without_a_name_where_there_is_none():
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert told(full) == "no space left on device; HYDRA_FULL_ERROR=1 shows where"


def test_broken_yaml_is_told_on_one_line():
    with pytest.raises(yaml.YAMLError) as caught:
        yaml.safe_load("a: [")
    assert "line 1, column" in told(caught.value)
    assert "\n" not in told(caught.value)


def test_a_refusal_of_a_constructor_is_told_with_its_key():
    node = {"model": {"_target_": "genexp.networks.autoencoder.ConvEncoder", "latent_size": -1}}
    node["model"] |= {"image_size": 8, "channels": 1}
    with pytest.raises(InstantiationException) as caught:
        instantiate(node)
    assert told(caught.value) == "model: latent_size must be at least 1, got -1"


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), RuntimeError("x"), OSError(errno.EIO, "broken")])
def test_what_is_a_mistake_of_the_program_is_not_told(error):
    assert told(error) is None


@pytest.mark.parametrize(
    ("typed", "begins"),
    [
        ("initial.run=outputs/base", "initial: does not exist; initial=run has it"),
        ("initial.adapt_channels=true", "initial: does not exist; initial=file and initial=run have it"),
        ("adapters.rank=2", "adapters: does not exist; adapters=low_rank has it"),
    ],
)
def test_a_value_of_a_group_of_which_nothing_is_chosen_names_the_choice(typed, begins):
    (problem,) = problems_of("train", [typed])
    assert problem.startswith(begins)


def test_names_of_layers_with_dots_are_no_keys():
    assert flat({"a": {"b": 1, "c": {"x.y": 2, "z": 3}}}) == {"a.b": 1, "a.c": {"x.y": 2, "z": 3}}
