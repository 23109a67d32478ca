"""Libraries of the extra `hub`, which are asked for before any work. Imports no torch."""

import importlib.util


def require_extra(library: str, for_what: str) -> None:
    """Raise ValueError where a library is not installed, naming the extra that brings it.

    Args:
        library: `diffusers` or `transformers`.
        for_what: Beginning of the line, such as `format=diffusers`.
    """
    if importlib.util.find_spec(library) is None:
        raise ValueError(f"{for_what} needs the extra 'hub', which holds {library}: uv sync --extra hub")
