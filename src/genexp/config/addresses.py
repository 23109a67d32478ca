"""Addresses of data bases in typed words: they are recorded, so none may hold a password. Imports nothing heavy."""

import re
from collections.abc import Sequence

_STORAGE = "hydra.sweeper"
_PASSWORD = re.compile(r"(://[^:/@]*:)(?!\$\{).+@|([?&](?:password|passwd|sslpassword)=)(?!\$\{)[^&'\"\s}]+")
"""A password before the host, or as a parameter; `${oc.env:...}` in its place is recorded as it is written."""


def without_password(text: str) -> str:
    """A text in which stars stand for the password of an address."""
    return _PASSWORD.sub(lambda found: f"{found[1]}***@" if found[1] else f"{found[2]}***", text)


def require_no_password(words: Sequence[str]) -> None:
    """Refuse a storage of a study whose address is written with its password, before the words are recorded.

    Args:
        words: Overrides as typed.

    Raises:
        ValueError: one holds a password.
    """
    for word in words:
        if word.lstrip("+").startswith(_STORAGE) and _PASSWORD.search(word):
            shown = without_password(word.partition("=")[2])
            raise ValueError(
                f"hydra.sweeper.storage must be an address without a password, which sweep.json would keep, got "
                f"{shown}: leave it out, and give it in PGPASSWORD or ~/.pgpass"
            )


def with_new_storage(recorded: Sequence[str], typed: Sequence[str]) -> list[str]:
    """The recorded words of a sweep without the storage that a typed one replaces."""
    named = f"{_STORAGE}.storage="
    anew = any(each.lstrip("+").startswith(named) for each in typed)
    return [each for each in recorded if not (anew and each.lstrip("+").startswith(named))]
