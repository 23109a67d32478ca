"""What a folder that another user wrote may bring along when it is resumed."""

import pytest
from omegaconf import OmegaConf

from genexp.commands.typed_arguments import overrides_of
from genexp.runs.records import load_recorded
from genexp.runs.run_folder import RunFolder
from genexp.runs.trust import is_ours, seal, signature, wrote_run
from recorded import CONFIG


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that writes a run with overrides as this user, or as another one."""

    def write(overrides, stranger=False):
        folder = RunFolder.claim(tmp_path / "run", {"id": "a", "name": "x"})
        folder.config_path.write_text(OmegaConf.to_yaml(CONFIG))
        (folder.path / "overrides.yaml").write_text(OmegaConf.to_yaml(overrides))
        monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "config"))
        folder.update_record(seal=seal("a", overrides))
        if stranger:
            monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "config of another"))
        return folder

    return write


def test_ones_own_run_brings_everything_along_wherever_it_is_copied(run, tmp_path):
    folder = run(["model=vae", "logger.wandb.project=mine"])
    moved = folder.path.rename(tmp_path / "moved")
    found = overrides_of("train", [f"resume={moved}"])
    assert found[:2] == ["model=vae", "logger.wandb.project=mine"]
    assert any(each.startswith("data.source.root=") for each in found)
    assert (tmp_path / "config" / "key").stat().st_mode & 0o077 == 0


def test_of_a_strangers_run_harmless_overrides_act_and_its_places_do_not(run):
    folder = run(["model=vae", "model.latent_size=3", "logger=none"], stranger=True)
    with pytest.raises(ValueError, match=r"acts only on data, .* got logger=none .* then add trust=true"):
        overrides_of("train", [f"resume={folder.path}"])
    found = overrides_of("train", [f"resume={folder.path}", "trust=true"])
    kept = ["model=vae", "model.latent_size=3", "logger=none", "trainer.precision=32-true"]
    assert found == [*kept, f"resume={folder.path}"]


@pytest.mark.parametrize(
    "override",
    [
        "logger.wandb.settings.base_url=http://127.0.0.1:9",
        "+callbacks.mine._target_=lightning.pytorch.callbacks.ModelCheckpoint",
        "data.source.root=/elsewhere",
        "data.cache_dir=../../x",
        "notes=${oc.env:HOME}",
        "+trainer.default_root_dir=x",
        "trainer.profiler=x",
        "model.features={weights: /elsewhere}",
        "+model.part={_target_:torch.nn.Linear}",
        "paths.cache=x",
        "data.files=[a,'/elsewhere']",
        "+model.part._target_=torch.nn.Linear",
        "callbacks.checkpoints.directory=elsewhere",
        "callbacks.evaluate.cache=1",
        "callbacks=[../x]",
        "logger=$x",
    ],
)
@pytest.mark.parametrize("word", [[], ["trust=true"]])
def test_places_loggers_classes_and_interpolations_of_a_stranger_never_act(override, word, run):
    folder = run(["model=vae", override], stranger=True)
    with pytest.raises(ValueError, match="must hold no logger, callback, class, place or interpolation") as raised:
        overrides_of("train", [f"resume={folder.path}", *word])
    assert override in str(raised.value)
    assert "\n" not in str(raised.value)


def test_numbers_of_callbacks_act_with_trust(run):
    folder = run(["model=vae", "callbacks.evaluate.num=8", "callbacks.averaging=null"], stranger=True)
    with pytest.raises(ValueError, match=r"got callbacks\.evaluate\.num=8 .* then add trust=true"):
        overrides_of("train", [f"resume={folder.path}"])
    assert "callbacks.evaluate.num=8" in overrides_of("train", [f"resume={folder.path}", "trust=true"])


def test_a_record_without_a_seal_or_with_another_is_a_strangers(run):
    folder = run(["model=vae"])
    assert wrote_run(folder.record)
    assert not wrote_run({"id": "a"})
    assert not wrote_run({**folder.record, "id": "b"})
    for damaged in (3, {}, {"digests": "x", "signature": 3}, {"digests": [], "signature": "\u00e9"}):
        assert not wrote_run({"id": "a", "seal": damaged})


@pytest.mark.parametrize("content", ["- model=vae\n", "", "3\n", "a: b\n", "- 3\n", "[", "- [model=vae]\n"])
def test_overrides_that_are_not_those_of_the_run_are_told(content, run):
    folder = run(["model=vae", "seed=3"])
    (folder.path / "overrides.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"overrides\.yaml .*(must|cannot) .*") as raised:
        overrides_of("train", [f"resume={folder.path}"])
    assert str(folder.path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_override_that_is_none_is_told_with_its_file(run):
    folder = run(["model=vae", "+model.part={'_target_':torch.nn.Linear}"])
    with pytest.raises(ValueError, match=r"overrides\.yaml must hold overrides, got \+model\.part") as raised:
        overrides_of("train", [f"resume={folder.path}"])
    assert "\n" not in str(raised.value)


def test_a_kill_between_the_record_and_the_overrides_leaves_a_run_that_can_be_resumed(run):
    folder = run(["model=vae"])
    folder.update_record(seal=seal("a", ["model=vae", "seed=3"], folder.record["seal"]))
    assert overrides_of("train", [f"resume={folder.path}"])[0] == "model=vae"


def test_without_a_place_for_a_key_nothing_is_signed_and_it_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "file" / "config"))
    assert signature("a") is None
    assert "resuming asks for trust=true" in capsys.readouterr().err
    assert not is_ours(None, "a")


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "it must be an object, got null"),
        (OmegaConf.to_yaml(CONFIG | {"model": "text"}), "model: it must be an object, got 'text'"),
        (OmegaConf.to_yaml(CONFIG) + "name: ${oc.env:HOME}\n", "must hold no interpolation, got name"),
        ("- a\n", r"it must be an object, got \['a'\]"),
        ("a: 1\na: 2\n", "cannot be read: found duplicate key a"),
        ("a: [", "cannot be read: "),
    ],
)
def test_a_damaged_configuration_is_told_in_one_line(content, rule, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=rule) as raised:
        load_recorded(path)
    assert str(path.parent) in str(raised.value)
    assert "\n" not in str(raised.value)
