"""Typos anywhere in the YAML are found, named with their file, and corrected."""

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from genexp.commands import validate
from genexp.config.compose import conf_dir, initialised
from genexp.config.instantiate import build
from genexp.config.origins import Origins
from genexp.config.problems import InvalidConfig
from genexp.config.signatures import parameters_of
from genexp.config.validation import find_problems, require_valid


def problems(text, name="train"):
    return [str(p) for p in find_problems(OmegaConf.create(text), name, Origins())]


def test_an_unknown_argument_is_named_with_the_nearest():
    found = problems("{trainer: {_target_: genexp.ramps.Constant, valu: 1}}")
    assert found == ["trainer.valu: is not an argument of genexp.ramps.Constant; did you mean value?"]


def test_a_missing_argument_is_named():
    assert problems("{trainer: {_target_: genexp.ramps.Linear, start: 0, end: 1}}") == [
        "trainer.images: is required by genexp.ramps.Linear and is not set"
    ]
    assert problems("{trainer: {_target_: genexp.ramps.Linear, _partial_: true, start: 0}}") == []


def test_an_unreachable_target_is_named():
    assert "did you mean Linear?" in problems("{trainer: {_target_: genexp.ramps.Lineer}}")[0]
    assert (
        "genexp.losses.nowhere.Thing does not exist"
        in problems("{trainer: {_target_: genexp.losses.nowhere.Thing}}")[0]
    )


def test_a_broken_interpolation_is_named():
    assert problems("{seed: '${sede}'}")[0].startswith("seed: Interpolation key 'sede' not found")


def test_an_unknown_top_level_key_is_named():
    assert problems("{sead: 1}") == ["sead: is not a key of train; did you mean seed?"]


def test_targets_outside_the_project_are_refused():
    with pytest.raises(ValueError, match="must begin with one of"):
        build({"_target_": "os.system", "command": "true"})
    with pytest.raises(ValueError, match="must begin"):
        build({"_target_": "genexp.runs.run_folder.write_atomically", "path": "x", "text": "y"})
    assert "must begin with one of" in problems("{trainer: {_target_: os.system}}")[0]


def test_own_packages_can_be_trusted(monkeypatch):
    monkeypatch.setenv("GENEXP_TRUST", "collections.,fractions.")
    assert build({"_target_": "fractions.Fraction", "numerator": 1, "denominator": 2}) == 0.5


def test_keywords_of_base_classes_count_and_true_catch_alls_are_left_alone():
    class Base:
        def __init__(self, known=1):
            pass

    class Child(Base):
        def __init__(self, own, **rest):
            super().__init__(**rest)

    found = parameters_of(Child)
    assert (set(found.annotations), found.required) == ({"own", "known"}, {"own"})
    assert parameters_of(dict) is None


def test_the_file_that_set_a_wrong_key_is_named(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\ntrainer:\n  precison: 32-true\n")
    search = f"hydra.searchpath=[file://{tmp_path}]"
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        overrides = ["experiment=mine", search]
        config = hydra.compose("train", overrides)
        origins = Origins.of_composition("train", overrides)
        with pytest.raises(
            InvalidConfig, match=r"trainer\.precison: .*did you mean precision\?.*experiment/mine\.yaml"
        ):
            require_valid(config, "train", origins)


def files_of(composition):
    """The YAML files that take part in a composition, by their paths in conf/."""
    loader = GlobalHydra.instance().config_loader()
    chosen = loader.compute_defaults_list(composition.name, composition.overrides, run_mode=RunMode.RUN)
    return {each.config_path for each in chosen.defaults}


@pytest.mark.slow  # 50 CPU-seconds: every configuration that is shipped
def test_every_yaml_file_takes_part_in_a_validated_composition():
    seen = set()
    with initialised():
        for each in validate.every_composition():
            assert each.problems() == [], each
            seen |= files_of(each)
    every = {str(p.relative_to(conf_dir()).with_suffix("")) for p in conf_dir().rglob("[!_]*.yaml")}
    composed = {name for name in every if not name.startswith("ablation/")}  # composed by tests/ablations
    assert composed - seen == set()


def test_validate_prints_problems_and_fails(capsys):
    assert validate.main(["model=gan", "+model.critic_stepz=2"]) == 1
    out = capsys.readouterr().out
    assert "model.critic_stepz" in out
    assert "did you mean critic_steps?" in out
