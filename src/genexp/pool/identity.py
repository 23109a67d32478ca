"""Which jobs are the same: those that compute the same, whatever keeps and shows it. Imports no torch."""

from collections.abc import Sequence

from genexp.config.keys import deciding, is_volatile, override_key
from genexp.runs.run_folder import DamagedRun, RunFolder


def identity(overrides: Sequence[str]) -> tuple[str, ...]:
    """What two jobs share exactly when they compute the same: their overrides but for loggers, notes, threads, ..."""
    return tuple(sorted(deciding(overrides)))


def new_for(folder: RunFolder, overrides: Sequence[str]) -> list[str]:
    """Overrides of a job that its run was not begun with; only such as change nothing of what it computes can be new.

    Args:
        folder: The run.
        overrides: Those of the job now.
    """
    try:
        begun = folder.overrides
    except DamagedRun:  # the job itself reads the file, and tells what is wrong with it
        return []
    return [each for each in overrides if is_volatile(override_key(each)) and each not in begun]
