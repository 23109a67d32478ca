"""Libraries of extras, which are asked for before any work. Imports no torch."""

import importlib.util


def require_extra(library: str, for_what: str, extra: str = "hub") -> None:
    """Raise ValueError where a library is not installed, naming the extra that brings it.

    Args:
        library: Its name, such as `diffusers`.
        for_what: Beginning of the line, such as `format=diffusers`.
        extra: The extra.
    """
    if importlib.util.find_spec(library) is None:
        raise ValueError(f"{for_what} needs the extra '{extra}', which holds {library}: uv sync --extra {extra}")
