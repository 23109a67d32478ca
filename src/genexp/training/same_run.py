"""Which unfinished run a configuration continues, whatever keys and classes were named otherwise when it was begun.

Imports no torch.
"""

from genexp.config.compose import compose, config_digest, resolved
from genexp.config.keys import flat, is_volatile
from genexp.files.trees import Tree
from genexp.runs.run_folder import RunFolder

_ABSENT = object()


def is_of(folder: RunFolder, plain: Tree) -> bool:
    """Whether a run was begun with a configuration and has not been changed since.

    A run from before a new key is one of the configuration that gives this key the value which it has when nothing is
    typed for it; classes and keys that moved stand under their names of today.

    Args:
        folder: The run.
        plain: The resolved configuration.

    Raises:
        DamagedRun: a record of the run cannot be read.
    """
    record = folder.record
    if record.get("config_digest") == config_digest(plain):
        return True
    if record.get("changed") or not folder.begun:
        return False
    before, now = _deciding(folder.config), _deciding(plain)
    new = {key: value for key, value in now.items() if key not in before}
    if any(now.get(key, _ABSENT) != value for key, value in before.items()):
        return False
    return not new or _is_untyped(new, folder.overrides)


def with_new_keys(stored: Tree, plain: Tree) -> Tree:
    """The configuration of a run that `is_of` another, with the keys which only that has."""
    filled = dict(stored)
    for key, value in plain.items():
        if key not in stored:
            filled[key] = value
        elif isinstance(value, dict) and isinstance(stored[key], dict):
            filled[key] = with_new_keys(stored[key], value)
    return filled


def _deciding(plain: Tree) -> Tree:
    return {key: value for key, value in flat(plain).items() if not is_volatile(key)}


def _is_untyped(new: Tree, overrides: list[str]) -> bool:
    """Whether some keys have the values that they have beside what was typed for a run."""
    try:
        composed = flat(resolved(compose("train", overrides)))
    except Exception:  # whatever no longer composes is none of today's configurations
        return False
    return all(composed.get(key, _ABSENT) == value for key, value in new.items())
