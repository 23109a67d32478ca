"""What a run on several machines needs to be told, asked before any of them waits for another. Imports no torch."""

import os
import socket
import sys

from genexp.files.trees import Tree

_STARTERS = ("SLURM_PROCID", "TORCHELASTIC_RUN_ID")
"""What only the tasks of SLURM and torchrun have in their environment, which number the machines themselves."""


def require_machines(plain: Tree) -> None:
    """Refuse a run on several machines of which one would wait for ever, and say whom this one waits for.

    Args:
        plain: The resolved configuration.

    Raises:
        ValueError: `run_dir` is null, a variable by which machines find each other is missing or wrong, or the address
            of the first is not known here.
    """
    nodes = int(plain["trainer"].get("num_nodes", 1))
    if nodes == 1 or any(name in os.environ for name in _STARTERS):
        return
    for_nodes = f"for trainer.num_nodes={nodes}"
    if plain["run_dir"] is None and "GENEXP_RUN_DIR" not in os.environ:
        raise ValueError(f"run_dir must name the folder of the run, which all machines see, {for_nodes}, got null")
    rank = _whole("NODE_RANK", f"the number of this machine, from 0 to {nodes - 1}, {for_nodes}", range(nodes))
    port = _whole("MASTER_PORT", f"a free port of the first machine, {for_nodes}", range(1, 65536))
    address = os.environ.get("MASTER_ADDR", "")
    if not address:
        raise ValueError(f"MASTER_ADDR must be the address of the first machine, {for_nodes}, got none")
    try:
        socket.getaddrinfo(address, port)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"MASTER_ADDR must be the address of the first machine, got {address} ({error})") from error
    if "LOCAL_RANK" not in os.environ:
        others = f"{nodes - 1} more machine{'s' if nodes > 2 else ''}" if rank == 0 else "the first machine"
        print(f"waiting     for {others} at {address}:{port}", file=sys.stderr, flush=True)


def _whole(name: str, meaning: str, allowed: range) -> int:
    given = os.environ.get(name, "")
    if not given.isdecimal() or int(given) not in allowed:
        raise ValueError(f"{name} must be {meaning}, got {given or 'none'}")
    return int(given)
