"""What `sample` and `evaluate` open of a run that another user wrote."""

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from genexp.config import instantiate as build
from genexp.inference.results import to_wandb
from genexp.runs.run_folder import RunFolder
from genexp.runs.strangers import data_of
from genexp.runs.trust import seal, wrote_run
from genexp.training.taking_up import ClaimedRun


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that gives the data of a run with this configuration of data, begun by this user or another one."""
    monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("GENEXP_CACHE", str(tmp_path / "own cache"))
    folder = RunFolder.claim(tmp_path / "run", {"id": "a", "seal": seal("a", ["model=vae"])})

    def read(trusted=False, stranger=True, **data):
        paths = {"data": "/home/other/data", "cache": "/home/other/cache", "outputs": "/home/other/outputs"}
        config = OmegaConf.create({"data": data, "paths": paths})
        monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / ("config of another" if stranger else "config")))
        return OmegaConf.to_container(data_of(config, folder, trusted))

    return read


def test_ones_own_run_is_opened_as_it_is(run):
    data = {"source": {"root": "/anywhere"}, "cache_dir": "/some/cache"}
    assert run(stranger=False, **data) == data


def test_data_without_places_are_opened(run):
    data = {"image_size": 8, "source": {"channels": 1, "interpolation": "bilinear"}, "num_workers": 0}
    assert run(**data) == data


def test_what_lay_in_their_data_folder_and_cache_is_looked_for_in_this_users_own(run, tmp_path):
    found = run(source={"root": "/home/other/data/cifar"}, cache_dir="/home/other/cache/decoded")
    assert found["source"]["root"] == str(tmp_path / "data" / "cifar")  # GENEXP_DATA of every test
    assert found["cache_dir"] == str(tmp_path / "own cache" / "decoded")


@pytest.mark.parametrize("trusted", [False, True])
def test_their_cache_is_never_written_to(trusted, run, tmp_path):
    assert run(trusted, cache_dir="/etc/x")["cache_dir"] == str(tmp_path / "own cache")


@pytest.mark.parametrize(
    "place",
    ["/home/me/photographs", "~/photographs", "photographs", "../x", "/home/other/data/../../me", "/home/other/datas"],
)
def test_other_places_need_a_word(place, run):
    with pytest.raises(ValueError, match=r"^data\.source\.root of a run that this user did not write must lie") as told:
        run(source={"root": place})
    assert place in str(told.value)
    assert str(told.value).endswith("add trust=true")
    assert "\n" not in str(told.value)
    assert run(trusted=True, source={"root": place})["source"]["root"] == place


def test_each_of_several_roots_is_looked_at_and_shipped_photographs_are_none(run):
    assert run(source={"root": ["china.jpg", "flower.jpg"]})["source"]["root"] == ["china.jpg", "flower.jpg"]
    with pytest.raises(ValueError, match=r"^data\.source\.root\[1\] "):
        run(source={"root": ["china.jpg", "/home/me/x"]})


def test_pictures_inside_the_run_are_opened_but_no_link_out_of_it(run, tmp_path):
    (tmp_path / "run" / "pictures").mkdir()
    inside = str(tmp_path / "run" / "pictures")
    assert run(source={"root": inside})["source"]["root"] == inside
    (tmp_path / "private").mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path / "private")
    with pytest.raises(ValueError, match=r"^data\.source\.root .*/link "):
        run(source={"root": str(tmp_path / "run" / "link")})


def test_a_strangers_run_sends_nothing_to_wandb_and_its_address_is_never_used(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "config of another"))
    record = {"id": "a", "name": "x", "seal": seal("a", ["model=vae"])}
    folder = RunFolder.claim(tmp_path / "run", record)
    monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "config"))
    wandb = {"_target_": "genexp.tracking.wandb_run.WandbRun", "run_id": None, "directory": None, "largest": []}
    wandb |= {"project": "p", "mode": "online", "settings": {"base_url": "http://127.0.0.1:9"}}
    config = OmegaConf.create({"logger": {"wandb": wandb}, "metrics": {}, "training": {"monitor": None}})
    monkeypatch.setattr(build, "build", lambda node: pytest.fail("a logger of another user's folder was built"))
    run = SimpleNamespace(config=config, folder=folder, weights="raw")
    assert to_wandb(run, {"fd": 1.0}) is None
    assert "not sent to W&B: this user did not write the run" in capsys.readouterr().err


def test_a_configuration_that_was_exchanged_in_ones_own_run_is_a_strangers(tmp_path, monkeypatch):
    monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "config"))
    folder = RunFolder.claim(tmp_path / "run", {"id": "a", "seal": seal("a", ["model=vae"], config="a: 1\n")})
    folder.config_path.write_text("a: 1\n")
    assert wrote_run(folder.record, folder.path)
    folder.config_path.write_text("a: 2\n")
    assert not wrote_run(folder.record, folder.path)
    folder.update_record(seal=seal("a", ["model=vae", "seed=1"], folder.record["seal"], config="a: 3\n"))
    for text, ours in (("a: 1\n", True), ("a: 3\n", True), ("a: 2\n", False)):  # a kill may leave the one before
        folder.config_path.write_text(text)
        assert wrote_run(folder.record, folder.path) == ours
    sealed = folder.record["seal"]
    folder.update_record(seal={key: each for key, each in sealed.items() if key != "configs"})
    assert not wrote_run(folder.record, folder.path), "what is signed cannot be left out"


@pytest.mark.parametrize(("user", "ours"), [("config", True), ("config of another", False)])
def test_a_run_that_python_takes_up_stays_whose_it_was(user, ours, tmp_path, monkeypatch):
    monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / "config"))
    before = {"group": None, "tags": [], "seed": 0}
    text = OmegaConf.to_yaml(OmegaConf.create(before))
    folder = RunFolder.claim(tmp_path / "run", {"id": "a", "seal": seal("a", [], config=text)})
    folder.config_path.write_text(text)
    (folder.path / "overrides.yaml").write_text("[]\n")
    monkeypatch.setenv("GENEXP_CONFIG", str(tmp_path / user))
    ClaimedRun(folder, folder.last, before).take_up(before | {"seed": 1})
    assert "seed: 1" in folder.config_path.read_text()
    assert wrote_run(folder.record, folder.path) == ours
