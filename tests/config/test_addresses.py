"""The address of a study's data base: no word that is recorded holds its password."""

import json

import pytest

from genexp.commands.typed_arguments import overrides_of
from genexp.config.addresses import require_no_password, without_password
from genexp.pool.record import SweepFolder

STORAGE = "hydra.sweeper.storage="


@pytest.mark.parametrize(
    "word",
    [
        f"{STORAGE}postgresql+psycopg://ann:geheim@127.0.0.1:1/studies",
        f"++{STORAGE}postgresql+psycopg://ann:ge@heim@host/studies",
        f"{STORAGE}'postgresql+psycopg://ann@host/studies?sslmode=require&password=geheim'",
        "hydra.sweeper={storage:'mysql://ann:geheim@host/studies'}",
    ],
)
def test_a_password_is_refused_and_not_repeated(word):
    with pytest.raises(ValueError, match=r"PGPASSWORD or ~/\.pgpass") as caught:
        overrides_of("train", ["sweep=diffusion_learning_rate", word])
    assert "heim" not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://ann@host:5432/studies",
        "postgresql+psycopg://ann:${oc.env:SECRET}@host/studies",
        "sqlite:///study.db",
        "/home/ann/study.journal",
        "${oc.env:GENEXP_STUDY}",
    ],
)
def test_addresses_without_a_written_password_are_taken(address):
    require_no_password([f"{STORAGE}{address}"])
    assert without_password(address) == address


def test_an_older_sweep_with_a_password_goes_on_with_a_new_address_and_forgets_the_old(tmp_path):
    old = ["-m", "sweep=a", f"{STORAGE}postgresql+psycopg://ann:geheim@host/studies"]
    SweepFolder(tmp_path, old).release()
    with pytest.raises(ValueError, match="an address without a password"):
        overrides_of("train", [f"sweep.resume={tmp_path}"])
    new = f"{STORAGE}postgresql+psycopg://ann@host/studies"
    words = overrides_of("train", [f"sweep.resume={tmp_path}", new])
    assert words[:3] == ["-m", "sweep=a", new]
    SweepFolder(tmp_path, words, resume=True).release()
    assert json.loads((tmp_path / "sweep.json").read_text())["command"] == ["-m", "sweep=a", new]
