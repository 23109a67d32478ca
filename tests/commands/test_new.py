"""genexp new: the project that it writes passes its own test and trains, once it is installed, and not before."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import invalidate_caches
from pathlib import Path

import pytest

import tiny
from genexp.ablations.finding import ablation_files
from genexp.commands import new
from genexp.commands.shell_completion import offers
from genexp.config import compose, projects
from genexp.config.check import problems_of
from genexp.config.targets import require_allowed

NAME = "wave_study"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project, and beside it what an installer writes of its entry points, as pyproject.toml has them."""
    root = tmp_path_factory.mktemp("new")
    new.write_project(NAME, root / NAME)
    settings = tomllib.loads((root / NAME / "pyproject.toml").read_text())["project"]
    said = root / "site" / f"{NAME}-{settings['version']}.dist-info"
    said.mkdir(parents=True)
    (said / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {settings['name']}\nVersion: {settings['version']}\n")
    lines = [
        f"[{group}]\n{key} = {value}" for group, all in settings["entry-points"].items() for key, value in all.items()
    ]
    (said / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return root


def typed(project, *words, installed=True):
    """What a process types in the project's folder."""
    found = [str(project / NAME), *([str(project / "site")] if installed else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found), "GENEXP_OUTPUTS": str(project / "outputs")}
    run = subprocess.run(
        [sys.executable, "-m", *words], cwd=project / NAME, env=environment, capture_output=True, text=True
    )
    return run.returncode, run.stdout + run.stderr


@pytest.mark.slow
def test_the_test_of_the_project_passes(project):
    status, said = typed(project, "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert status == 0, said
    assert "3 passed" in said


@pytest.mark.slow
def test_the_recipe_of_the_project_trains(project):
    short = ["training.max_images=256", "training.evaluate_every=256", "callbacks.evaluate.num=8", *tiny.COMMON]
    status, said = typed(project, "genexp", "train", f"experiment={NAME}/first", "sampler.steps=2", *short)
    assert status == 0, said
    status, said = typed(project, "genexp", "validate", f"experiment=glob({NAME}/*)")
    assert (status, said.splitlines()[-1]) == (0, "1 configuration checked, 0 with problems"), said
    (run,) = (project / "outputs" / f"{NAME}_first").glob("2*")
    status, said = typed(project, "genexp", "sample", f"run={run}", "num=2", "threads=1")
    assert status == 0, said


@pytest.mark.slow
def test_a_project_that_is_not_installed_takes_no_part(project):
    """Its folder on the path of modules, and the one in which the command is typed, are not enough."""
    status, said = typed(project, "genexp", "train", f"experiment={NAME}/first", installed=False)
    assert status == 1
    assert "experiment" in said
    target = f"{{_target_: {NAME}.networks.Convolutions, channels: 1}}"
    status, said = typed(project, "genexp", "train", "model=diffusion", f"model.network={target}", installed=False)
    assert status == 1
    assert "_target_: must begin with one of" in said


def test_choices_of_a_project_are_listed_beside_those_of_genexp(project, monkeypatch):
    for folder, name in (("ablation", "waves"), ("data", "digits"), ("experiment", "_shared")):
        file = project / NAME / NAME / f"conf/{folder}/{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text("{}\n")
    monkeypatch.setattr(compose, "conf_dirs", lambda: (project / NAME / NAME / "conf",))
    own = {*compose.own_choices("data"), *compose.own_choices("model/network"), *compose.choice_files("experiment")}
    assert {"digits", "stripes", "unet", "convolutions", "quickstart", f"{NAME}/first"} <= own
    assert "_shared" not in own
    assert compose.choice_files("data")["digits"] == compose.conf_dir() / "data/digits.yaml"
    assert ablation_files("waves") == [project / NAME / NAME / "conf/ablation/waves.yaml"]
    assert "model/network=convolutions" in offers("genexp train model/network=conv", ["train"])
    assert "data=stripes" in offers("genexp train data=str", ["train"])


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The conf/ of a project that genexp takes for an installed one."""
    new.write_project(NAME, tmp_path / NAME)
    monkeypatch.syspath_prepend(tmp_path / NAME)
    monkeypatch.setattr(projects, "packages", lambda: (NAME,))
    projects.conf_dirs.cache_clear()
    yield tmp_path / NAME / NAME / "conf"
    projects.conf_dirs.cache_clear()


@pytest.mark.parametrize(
    ("file", "defaults", "told"),
    [
        (
            f"experiment/{NAME}/mine",
            "override /data: strips",
            "data: must be one of .*, got 'strips'; did you mean stripes",
        ),
        (f"experiment/{NAME}/mine", f"{NAME}/firs", f"experiment: must be one of .*, got '{NAME}/firs'; did you mean"),
        ("data/mine", "_gone", "data: must be one of .*, got '_gone'"),
        (f"experiment/{NAME}/mine", "override /model/nothing: x", "model/nothing: does not exist here"),
    ],
)
def test_a_wrong_default_of_a_project_names_its_file(installed, file, defaults, told):
    (installed / f"{file}.yaml").write_text(f"# @package _global_\ndefaults:\n  - {defaults}\n")
    (line,) = problems_of("train", [file.replace("/", "=", 1)])
    assert re.match(told, line)
    assert line.endswith(f"(set by {installed}/{file}.yaml)")


def test_a_project_whose_configurations_are_gone_is_told(installed):
    shutil.rmtree(installed)
    (line,) = problems_of("train", [f"experiment={NAME}/first"])
    assert line.endswith(f"got '{NAME}/first'; the project {NAME} has no conf/ at {installed}")
    shutil.rmtree(installed.parent)
    invalidate_caches()
    (line,) = problems_of("train", [f"experiment={NAME}/first"])
    assert line.endswith(f"; the project {NAME} is installed, but its package is not there")


def test_classes_of_a_project_alone_are_allowed(monkeypatch):
    with pytest.raises(ValueError, match=r"_target_ must begin with one of .* or let genexp new make a project"):
        require_allowed("tomllib.loads", "model.network")
    monkeypatch.setattr("genexp.config.targets.packages", lambda: ("decimal",))
    require_allowed("decimal.Decimal", "model.network")
    with pytest.raises(ValueError, match="must begin with one of"):
        require_allowed("decimals.Decimal", "model.network")


def test_entry_points_name_packages_at_the_top_level(monkeypatch):
    class Point:
        def __init__(self, value):
            self.value = value

    given = [Point(value) for value in ("mine", "genexp", "os.path", "mine")]
    monkeypatch.setattr(projects, "entry_points", lambda group: given if group == "genexp.projects" else [])
    projects.packages.cache_clear()
    try:
        assert projects.packages() == ("mine",)
    finally:
        projects.packages.cache_clear()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ([], "one name must be given"),
        (["a", "b"], "one name must be given"),
        (["../a"], "name must be lower case letters"),
        (["class"], "name must be lower case letters"),
        (["torch"], "name must be that of no package"),
        (["json"], "name must be that of no package"),
    ],
)
def test_other_names_are_refused(name, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert new.main(name) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_stays(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine_too").mkdir()
    assert new.main(["mine_too"]) == 2
    assert "mine_too must not be there yet" in capsys.readouterr().err
    assert not list(Path("mine_too").iterdir())
    assert [each.name for each in tmp_path.iterdir()] == ["mine_too"]


def test_it_says_what_to_type_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert new.main(["mine_now"]) == 0
    assert "cd mine_now && uv run genexp train experiment=mine_now/first" in capsys.readouterr().out
    for path in Path("mine_now").rglob("*"):
        if path.is_file():
            assert "{package}" not in path.read_text()
