"""Ranks: which process of a run this is, and the variables by which launchers of distributed training say so."""

import os
from collections.abc import Mapping

_NUMBERS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Variables by which Lightning, torchrun and SLURM tell a process that it is not the first of its run."""

RANK_VARIABLES = (
    "GENEXP_RUN_DIR",
    "GLOBAL_RANK",
    "GROUP_RANK",
    "GROUP_WORLD_SIZE",
    "JSM_NAMESPACE_RANK",
    "JSM_NAMESPACE_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "LSB_DJOB_RANKFILE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "NODE_RANK",
    "PL_GLOBAL_SEED",
    "PL_SEED_WORKERS",
    "RANK",
    "ROLE_RANK",
    "ROLE_WORLD_SIZE",
    "WORLD_SIZE",
)
RANK_PREFIXES = (
    "OMPI_COMM_WORLD_",
    "PMIX_",
    "PMI_",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_NPROCS",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "SLURM_STEP",
    "SLURM_TASK",
    "TORCHELASTIC_",
)
"""SLURM's other variables say where a job runs, not which rank it is, and stay."""


def is_further_rank() -> bool:
    """Whether another process of this run, rank zero, claims its folder."""
    return any(os.environ.get(name, "0") != "0" for name in _NUMBERS)


def without_ranks(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the variables by which launchers of distributed training tell a process its rank."""
    return {
        name: value
        for name, value in environment.items()
        if name not in RANK_VARIABLES and not name.startswith(RANK_PREFIXES)
    }
