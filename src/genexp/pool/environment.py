"""The environment that the processes of a command start with: as it was typed, with their threads."""

from collections.abc import Mapping

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def with_threads(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment of a process that may use so many CPU threads."""
    return {**environment, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
