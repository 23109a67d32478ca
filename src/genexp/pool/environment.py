"""The environment that the processes of a command start with: as it was typed, with their threads."""

import os
from collections.abc import Mapping

TRACE = "HYDRA_FULL_ERROR"
"""The variable by which Hydra raises errors instead of printing them."""

typed_trace = "0"
"""What it was when the command was typed: `genexp.commands.launch` changes it while Hydra composes, and sets this."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def with_threads(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment of a process that may use so many CPU threads."""
    return {**environment, **dict.fromkeys(THREAD_VARIABLES, str(threads))}


def typed_environment() -> dict[str, str]:
    """The environment as it was before this command asked Hydra for full errors; what other processes start with."""
    return {**os.environ, TRACE: typed_trace}
