"""Two processes that stand for two machines train what two ranks of one machine train, bit for bit."""

import os
import socket
import subprocess

import pytest

import forking
import tiny
from genexp.inference.run import load_run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("distributed")]
TYPED = [*(each for each in tiny.overrides_for("vae") if each != "trainer=cpu"), "metrics=none"]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def begun(outputs, *typed, **variables):
    return subprocess.Popen(
        [*forking.genexp(), "train", *TYPED, *typed],
        env={**os.environ, "GENEXP_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def nodes(outputs, *typed):
    """What two machines of one process each say, and how they end."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    of_nodes = ["trainer=cpu", "trainer.strategy=ddp", "trainer.num_nodes=2", "trainer.precision=32-true", *typed]
    both = [begun(outputs, *of_nodes, NODE_RANK=rank, **where) for rank in "01"]
    return [(*each.communicate(timeout=200), each.returncode) for each in both]


def test_two_nodes_equal_two_ranks_and_rank_zero_alone_writes(tmp_path):
    one = begun(tmp_path, "trainer=ddp_cpu", f"run_dir={tmp_path}/one")
    _, err = one.communicate(timeout=200)
    assert one.returncode == 0, err
    ended = nodes(tmp_path, f"run_dir={tmp_path}/two")
    assert [status for _, _, status in ended] == [0, 0], ended
    first, second = ("run folder" in out for out, _, _ in ended)
    assert (first, second) == (True, False)
    runs = [load_run(tmp_path / name) for name in ("one", "two")]
    weights = [run.model.state_dict() for run in runs]
    assert tiny.differences(*map(dict, weights)) == []
    seen = [[row["images_seen"] for row in run.history] for run in runs]
    assert seen[0] == seen[1]
    assert runs[1].folder.record["state"] == "finished"


def test_a_further_node_must_be_told_the_folder(tmp_path):
    alone = begun(tmp_path, "trainer=cpu", "trainer.strategy=ddp", "trainer.num_nodes=2", NODE_RANK="1")
    _, err = alone.communicate(timeout=100)
    assert alone.returncode == 1
    told = "run_dir must name the folder of the run, which all machines see, for trainer.num_nodes=2, got null"
    assert err.strip().splitlines()[-1] == f"genexp train: {told}"
