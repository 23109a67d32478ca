"""The key that was meant by one that does not exist: by its last word, anywhere in the configuration. No torch."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig

from genexp.config.compose import conf_dir
from genexp.config.problems import did_you_mean, nearest
from genexp.files.yaml_records import read_yaml

_MOST, _SURE, _CLOSE = 3, 0.8, 0.65
_MEANT = {
    "batch": "batch_size",
    "bs": "batch_size",
    "device": "accelerator",
    "epochs": "max_images",
    "gpus": "devices",
    "learning_rate": "lr",
    "workers": "num_workers",
}
"""Words of other libraries for values that stand here under another name."""


def key_hint(typed: str, place: str, siblings: Sequence[str], root: Any) -> str:
    """What may have been meant, as `; did you mean X?`, or the names that are known in this place.

    A near name in the same place goes first, then the same last word elsewhere, in British or American spelling, then
    other choices of the same group that have the key, then near names anywhere.

    Args:
        typed: The override, or `key=value`.
        place: The dotted key up to the part that does not exist.
        siblings: What exists beside that part.
        root: The whole configuration.
    """
    key, _, value = typed.lstrip("+~").partition("=")
    word = place.rpartition(".")[2]
    beside = {_spelt(each): each for each in reversed(siblings)}
    if sure := nearest(_spelt(word), beside, _SURE):
        return _meant([beside[sure]])
    known = dict(_keys(root))
    last = key.split("@")[0].rpartition(".")[2]
    for wanted in (last, _MEANT.get(last)):
        same = [each for each in known if wanted and _spelt(each.rpartition(".")[2]) == _spelt(wanted)]
        found = _as_typed(same, known, value)
        if found:
            return _meant(sorted(found, key=lambda each: (each.count("."), each))[:_MOST])
    if having := who_has(place):
        return having
    if close := nearest(_spelt(word), beside, _CLOSE):
        return _meant([beside[close]])
    words = {_spelt(each.rpartition(".")[2]): each for each in known}
    found = nearest(_spelt(last), words, _SURE)
    meant = _as_typed([words[found]], known, value) if found else []
    return _meant(meant) if meant else did_you_mean(word, siblings)


def _as_typed(keys: Sequence[str], known: dict[str, Any], value: str) -> list[str]:
    """Keys that can take what was typed: a number goes to a value, a choice to the group that fills a part."""
    values = [each for each in keys if not isinstance(known[each], DictConfig)]
    parts = [f"{group}={value}" for each in keys if (group := group_of(each, value)) is not None]
    return [*parts, *values]


def group_of(key: str, choice: str) -> str | None:
    """The override of a group that puts this choice at a key; None where there is no such choice."""
    path, word = key.replace(".", "/"), key.rpartition(".")[2]
    for folder, group in ((path, path), (word, f"{word}@{key}")):
        if re.fullmatch(r"[\w-]+", choice, re.ASCII) and (conf_dir() / folder / f"{choice}.yaml").is_file():
            return group
    return None


def who_has(key: str) -> str:
    """The choices of the group that fills the part above a key whose own files set it, as `; sampler=ddim has it`."""
    part, _, word = key.rpartition(".")
    group = part.replace(".", "/")
    files = sorted((conf_dir() / group).glob("[!_]*.yaml")) if part else []
    found = [f"{group}={file.stem}" for file in files if word in (read_yaml(file) or {})][:_MOST]
    return f"; {' and '.join(found)} {'has' if len(found) == 1 else 'have'} it" if found else ""


def _meant(keys: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(keys)}?"


def _keys(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All dotted keys of a configuration, each with what stands there, interpolations as they are."""
    if isinstance(node, ListConfig) or not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
        return
    for key in node if not node._is_interpolation() else ():
        here, child = f"{path}.{key}" if path else str(key), node._get_node(key)
        if key not in ("_target_", "_partial_") and not _inner(here):
            yield here, child
            yield from _keys(child, here)


def _inner(key: str) -> bool:
    """Whether a key is of Hydra's own, of which only launchers and sweepers are set by hand."""
    return key.startswith("hydra.") and not key.startswith(("hydra.launcher", "hydra.sweeper"))


_BRITISH = (
    ("our", "or"),
    ("ise", "ize"),
    ("isation", "ization"),
    ("yse", "yze"),
    ("centre", "center"),
    ("grey", "gray"),
)


def _spelt(word: str) -> str:
    """A word in one spelling, with dashes as underscores."""
    word = str(word).lower().replace("-", "_")
    for british, american in _BRITISH:
        word = word.replace(british, american)
    return word
