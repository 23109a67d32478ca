"""Which errors a person is told in one line, and in which words. Imports no torch."""

import builtins
import errno
import re

import yaml


class JobFailed(RuntimeError):
    """A job of a sweep failed; the others went on."""


class SweepInterrupted(SystemExit):
    """A sweep was asked to end; the exit status is 128 plus the signal's number, as shells have it."""


class RankFailed(RuntimeError):
    """One of the processes that train a run together has failed; the message names it."""


_TOLD = (JobFailed, RankFailed, ValueError, ConnectionError, FloatingPointError, FileExistsError, FileNotFoundError)
"""Errors whose message says all that a person needs; HYDRA_FULL_ERROR=1 shows where they were raised."""

_OF_FILES = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.EEXIST),
)
"""What a full disk, a folder that may not be written, or a wrong path gives."""


def is_told(name: str) -> bool:
    """Whether an error of a class of this name says all that a person needs.

    Args:
        name: With its module, as the last line of a traceback has it.
    """
    found = getattr(builtins, name, None)
    return name.startswith("genexp.") or (isinstance(found, type) and issubclass(found, _TOLD))


def told(error: BaseException) -> str | None:
    """The line for the person at the terminal, or None where a programmer needs the traceback.

    Args:
        error: What a command has raised.
    """
    if isinstance(error, OSError) and error.errno in _OF_FILES:
        reason = (error.strerror or str(error)).lower()
        return f"{error.filename}: {reason}" if error.filename else f"{reason}; HYDRA_FULL_ERROR=1 shows where"
    if isinstance(error, yaml.YAMLError):  # its mark names the file
        return " ".join(str(error).split())
    if isinstance(error, _TOLD) or type(error).__name__ == "MisconfigurationException":  # what Lightning refuses
        return str(error)
    return _from_constructor(error)


def _from_constructor(error: BaseException) -> str | None:
    """`model.encoder: latent_size must be ...` for a constructor that has refused an argument."""
    from hydra.errors import InstantiationException

    key = re.search(r"^full_key: (\S+)$", str(error), re.MULTILINE)
    line = told(error.__cause__) if isinstance(error, InstantiationException) and error.__cause__ else None
    return f"{key[1]}: {line}" if line is not None and key else line
