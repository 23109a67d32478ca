"""A run on several machines is refused where one of them would wait for ever."""

import pytest

from genexp.training.machines import require_machines

FOUND = {"NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
VARIABLES = (*FOUND, "LOCAL_RANK", "SLURM_PROCID", "TORCHELASTIC_RUN_ID", "GENEXP_RUN_DIR")


def of(monkeypatch, nodes=2, run_dir="there", **variables):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    require_machines({"trainer": {"num_nodes": nodes}, "run_dir": run_dir})


@pytest.mark.parametrize(
    ("run_dir", "changed", "said"),
    [
        (None, {}, "^run_dir must name the folder of the run, .* for trainer.num_nodes=2, got null$"),
        ("there", {"NODE_RANK": ""}, "^NODE_RANK must be the number of this machine, from 0 to 1, .*, got none$"),
        ("there", {"NODE_RANK": "5"}, "^NODE_RANK must be .* got 5$"),
        ("there", {"MASTER_PORT": "abc"}, "^MASTER_PORT must be .* got abc$"),
        ("there", {"MASTER_ADDR": ""}, "^MASTER_ADDR must be the address of the first machine, .* got none$"),
        ("there", {"MASTER_ADDR": "no..name"}, "^MASTER_ADDR must be the address of the first machine, got no..name"),
    ],
)
def test_what_would_wait_for_ever_is_refused(run_dir, changed, said, monkeypatch):
    with pytest.raises(ValueError, match=said):
        of(monkeypatch, run_dir=run_dir, **FOUND | changed)


@pytest.mark.parametrize(("rank", "whom"), [("0", "1 more machine"), ("1", "the first machine")])
def test_a_machine_says_whom_it_waits_for(rank, whom, monkeypatch, capsys):
    of(monkeypatch, **FOUND | {"NODE_RANK": rank})
    assert capsys.readouterr().err == f"waiting     for {whom} at 127.0.0.1:29500\n"


@pytest.mark.parametrize("started", [{}, {"SLURM_PROCID": "0"}, {"TORCHELASTIC_RUN_ID": "1"}])
def test_one_machine_and_those_who_number_machines_themselves_are_asked_nothing(started, monkeypatch, capsys):
    of(monkeypatch, nodes=2 if started else 1, run_dir=None, **started)
    assert capsys.readouterr().err == ""
