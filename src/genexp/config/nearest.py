"""The key that was meant by one that does not exist: by its last word, anywhere in the configuration. No torch."""

from collections.abc import Container, Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig

from genexp.config.compose import choice_files, own_choices
from genexp.config.field_words import KEYS, UNITS, meant_choice
from genexp.config.hints import hint_of_absent
from genexp.config.problems import did_you_mean
from genexp.files.trees import Tree
from genexp.files.yaml_records import read_yaml
from genexp.terminal import nearest

_MOST, SURE, _CLOSE = 3, 0.8, 0.65


def key_hint(typed: str, place: str, siblings: Sequence[str], root: object) -> str:
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
    beside, known = {_spelt(each): each for each in reversed(siblings)}, dict(_keys(root))
    last = key.split("@")[0].rpartition(".")[2]
    if told := of_the_field(last, value, known):
        return told
    if "." not in place and key != place and (told := who_has(key)):  # a group of which nothing is chosen
        return told
    if sure := nearest(_spelt(word), beside, SURE):
        return _meant([beside[sure]])
    same = [each for each in known if _spelt(each.rpartition(".")[2]) == _spelt(last)]
    if found := _as_typed(same, known, value):
        return _meant(sorted(found, key=lambda each: (each.count("."), each))[:_MOST])
    if told := of_the_field_elsewhere(last) or who_has(place):
        return told
    if close := nearest(_spelt(word), beside, _CLOSE):
        return _meant([beside[close]])
    words = {_spelt(each.rpartition(".")[2]): each for each in known}
    found = nearest(_spelt(last), words, SURE)
    meant = _as_typed([words[found]], known, value) if found else []
    return _meant(meant) if meant else did_you_mean(word, siblings)


def of_the_field(word: str, value: str, known: Container[str]) -> str:
    """What other libraries call `word`, as the end of a line that names keys which are here.

    Args:
        word: The last part of a key.
        value: What was typed for it.
        known: All dotted keys of the configuration.
    """
    keys = KEYS.get(_spelt(word), ())
    here = [each for each in keys if each.replace("/", ".") in known or _of_the_run(each, known)]
    return _meant([_with_unit(each, value) for each in here[:_MOST]]) if here else ""


def of_the_field_elsewhere(word: str) -> str:
    """What other libraries call `word`, as the end of a line that names what would have the key."""
    for key in (keys := KEYS.get(_spelt(word), ())):
        if key.rpartition(".")[2] == word and (told := who_has(key)):
            return told
        if told := hint_of_absent(key) or who_has(key, "of {}"):
            return f"; it is {key}{told}"
    return f"; it is {keys[0]} where there is one" if keys else ""


def _of_the_run(key: str, known: Container[str]) -> bool:
    """Whether a key is one of the sampler of the run that a command draws from, which is not yet known."""
    return "run" in known and "weights" in known and key.startswith("sampler.")


def _with_unit(key: str, value: str) -> str:
    if "/" in key:
        choice = meant_choice(key, value, own_choices(key))
        return key if choice is None else f"{key}={choice.name}"
    return f"{key} ({UNITS[key]})" if key in UNITS else key


def _as_typed(keys: Sequence[str], known: Tree, value: str) -> list[str]:
    """Keys that can take what was typed: a number goes to a value, a choice to the group that fills a part."""
    values = [each for each in keys if not isinstance(known[each], DictConfig)]
    parts = [f"{group}={value}" for each in keys if (group := group_of(each, value)) is not None]
    return [*parts, *values]


def group_of(key: str, choice: str) -> str | None:
    """The override of a group that puts this choice at a key; None where there is no such choice."""
    path, word = key.replace(".", "/"), key.rpartition(".")[2]
    for folder, group in ((path, path), (word, f"{word}@{key}")):
        if choice in own_choices(folder):
            return group
    return None


def who_has(key: str, words: str = "") -> str:
    """The choices of the group that fills the part above a key whose own files set it, as `; sampler=ddim has it`.

    Args:
        key: The dotted key.
        words: How it is told otherwise, with {} for the choices.
    """
    part, _, word = key.rpartition(".")
    group = part.replace(".", "/")
    files = {name: file for name, file in choice_files(group).items() if "/" not in name} if part else {}
    found = [f"{group}={name}" for name, file in files.items() if word in (read_yaml(file) or {})][:_MOST]
    above, _, name = group.rpartition("/")
    if name in (whole := choice_files(above)) and name in (read_yaml(whole[name]) or {}):
        found = [f"{above}={name}"]  # one of several parts, which stand under their names
    if words and found:
        return " " + words.format(" or ".join(found))
    return f"; {' and '.join(found)} {'has' if len(found) == 1 else 'have'} it" if found else ""


def _meant(keys: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(keys)}?"


def _keys(node: object, path: str = "") -> Iterator[tuple[str, Any]]:
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
