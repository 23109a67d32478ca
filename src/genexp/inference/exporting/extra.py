"""The extra `hub`, which is asked for before any work. Imports no torch."""

import importlib.util


def require_diffusers(for_what: str) -> None:
    """Raise ValueError where diffusers is not installed, naming the extra that brings it.

    Args:
        for_what: Beginning of the line, such as `format=diffusers`.
    """
    if importlib.util.find_spec("diffusers") is None:
        raise ValueError(f"{for_what} needs the extra 'hub', which holds diffusers: uv sync --extra hub")
