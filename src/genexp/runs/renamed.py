"""What keys and groups of earlier versions are called now. This file imports no torch."""

from typing import Any

RENAMED = {"model.likelihood": "model.reconstruction"}
"""Dotted keys of the configuration by their earlier names; the group of a part has the name of its key.

What they mean for the weights in a checkpoint a family says itself (`renamed_modules`).
"""


def renamed(plain: dict[str, Any]) -> dict[str, Any]:
    """A recorded configuration with every key under its name of today."""
    for old, new in RENAMED.items():
        above, _, name = old.rpartition(".")
        node: Any = plain
        for step in above.split("."):
            node = node.get(step) if isinstance(node, dict) else None
        if isinstance(node, dict) and name in node:
            node[new.rpartition(".")[2]] = node.pop(name)
    return plain


def renamed_override(override: str) -> str:
    """An override that was typed earlier, as it is typed now."""
    signs = override[: len(override) - len(override.lstrip("+~"))]
    key, equals, value = override[len(signs) :].partition("=")
    new = new_name(key)
    return override if new is None else f"{signs}{new}{equals}{value}"


def new_name(key: str) -> str | None:
    """Today's name of a key or group, with dots or slashes as it is given; None where it has always been this."""
    for old, new in RENAMED.items():
        for sign in "./":
            before, after = old.replace(".", sign), new.replace(".", sign)
            if key == before or key.startswith((f"{before}.", f"{before}/", f"{before}@")):
                return after + key.removeprefix(before)
    return None
