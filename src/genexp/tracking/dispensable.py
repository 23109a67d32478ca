"""Loggers that a run can do without: one whose files cannot be written is named once, and the run goes on."""

import functools
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

from genexp.files.json_records import reason_of


class Dispensable(Protocol):
    """A logger beside the run's own journal, which has every line of it."""

    place: str
    """Where its files are."""
    is_lost: bool
    """Whether they could not be written; then nothing more is."""


def dispensable(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a `Dispensable` that ends nothing where a file cannot be written, such as on a full disk."""

    @functools.wraps(method)
    def kept(self: Dispensable, *arguments: object, **options: object) -> Any:
        if self.is_lost:
            return None
        try:
            return method(self, *arguments, **options)
        except (OSError, ValueError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__  # Lightning takes any for a wrong value
            if not isinstance(cause, OSError):
                raise
            lose(self, reason_of(cause))
            return None

    return kept


def lose(logger: Dispensable, reason: str) -> None:
    """Say that a logger's files lack the rest of the run."""
    logger.is_lost = True
    print(
        f"not kept    {logger.place} ({type(logger).__name__}): {reason}; what follows is in metrics.jsonl alone",
        file=sys.stderr,
    )


def hush_writer_threads() -> None:
    """Let a thread of TensorBoard that cannot write end without a trace; its error comes with the next line logged."""
    global _usual
    if threading.excepthook is not _told_later:
        _usual, threading.excepthook = threading.excepthook, _told_later


_usual = threading.excepthook


def _told_later(found: threading.ExceptHookArgs) -> None:
    if type(found.thread).__name__ != "_AsyncWriterThread" or not issubclass(found.exc_type, OSError):
        _usual(found)


def hush_log_of(name: str) -> None:
    """Let a library's own log pass over what cannot be written to it."""
    for handler in logging.getLogger(name).handlers:
        handler.handleError = lambda _: None
