"""The environment of a job: its devices and threads, and nothing that would make it a rank of somebody else's run."""

from collections.abc import Mapping

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

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def without_ranks(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the variables by which launchers of distributed training tell a process its rank."""
    return {
        name: value
        for name, value in environment.items()
        if name not in RANK_VARIABLES and not name.startswith(RANK_PREFIXES)
    }


def with_threads(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment of a process that may use so many CPU threads."""
    return {**environment, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
