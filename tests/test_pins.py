"""The pinned environment: one list in pyproject.toml for uv, the same in constraints.txt for pip."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = PROJECT["tool"]["uv"]["constraint-dependencies"]


def test_both_lists_are_the_same():
    assert (ROOT / "constraints.txt").read_text().splitlines() == PINS


def test_every_dependency_is_pinned_once_for_a_platform():
    pinned = {Requirement(pin).name.lower() for pin in PINS}
    groups = [*PROJECT["project"]["optional-dependencies"].values(), PROJECT["dependency-groups"]["dev"]]
    for wanted in [*PROJECT["project"]["dependencies"], *(each for group in groups for each in group)]:
        assert Requirement(wanted).name.lower() in pinned, f"{wanted} is not pinned: run python .ci/pin.py"


def test_pins_carry_no_address():
    assert not [pin for pin in PINS if re.search(r"https?:|://|@", pin)]


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="the pins describe the project's own environment")
def test_the_installed_environment_is_the_pinned_one():
    for pin in map(Requirement, PINS):
        if pin.marker is not None and not pin.marker.evaluate():
            continue
        try:
            installed = metadata.version(pin.name)
        except metadata.PackageNotFoundError:
            continue  # an extra that was not asked for
        assert pin.specifier.contains(installed, prereleases=True), f"{pin} is pinned, {installed} is installed"
