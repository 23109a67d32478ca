"""Keys of a configuration, with dots: which of them decide what a run computes. Imports nothing heavy."""

import re
from collections.abc import Iterable

from genexp.files.trees import Tree

VOLATILE = (
    *("resume", "run_dir", "paths", "logger", "group", "job_type", "notes", "tags", "threads", "callbacks.progress"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.profiler"),
)
"""Keys that do not change what a run computes, with all below them: left out of its identity.

A name is not among them: it says which run is meant.
"""


def is_volatile(key: str) -> bool:
    """Whether a key, with dots, is one that changes nothing of what a run computes."""
    return any(key == each or key.startswith(f"{each}.") for each in VOLATILE)


def deciding(overrides: Iterable[str]) -> list[str]:
    """The overrides, in order, that decide what a run computes: without those of its logger, notes, threads, ..."""
    return [each for each in overrides if not is_volatile(override_key(each))]


def override_key(override: str) -> str:
    """The key of an override, with dots, without the signs that add or remove it and the package of a group."""
    return override.split("=", 1)[0].lstrip("+~").split("@", 1)[0].replace("/", ".")


def flat(plain: object, path: str = "") -> Tree:
    """Nested containers as one dictionary from dotted keys to leaves.

    A list counts as a leaf, and so does a mapping whose own keys have dots, such as names of layers.
    """
    if not isinstance(plain, dict) or (path and any("." in str(key) for key in plain)):
        return {path: plain}
    found: Tree = {}
    for key, value in plain.items():
        found |= flat(value, f"{path}.{key}" if path else str(key))
    return found


def in_place_of_earlier(overrides: list[str]) -> list[str]:
    """Overrides in which a mapping of a person's own names takes the place of one that a recipe or a run has.

    Hydra merges mappings, and knows no name that the earlier one does not have, nor any below null.
    """
    whole = [next((key for key in _WHOLE if each.startswith(f"{key}={{")), None) for each in overrides]
    given = zip(whole, overrides, strict=True)
    return [word for key, each in given for word in ([f"{key}=null", each] if key else [with_its_name(each)])]


_WHOLE = ("training.rate_factors",)


def with_its_name(override: str) -> str:
    """An override of what is told in the place of nothing, by the name of a condition, as Hydra takes it."""
    return f"++{override}" if _INSTEAD.match(override) else override


_INSTEAD = re.compile(r"(?:\w+\.)*guidance\.(?:inside\.)*negative\.\w+=")


def of_the_own(overrides: Iterable[str]) -> list[str]:
    """Overrides of a command that draws from a run: of its conditions, and without a choice of `sampler` of its own."""
    overrides = list(overrides)
    chosen = any(each.startswith("sampler=") for each in overrides)
    signs = {start: sign for start, sign in _SIGNS.items() if not (chosen and start.startswith("sampler"))}
    starts = [next((start for start in signs if each.startswith(start)), None) for each in overrides]
    given = zip(starts, overrides, strict=True)
    return [with_its_name(each) if start is None else f"{signs[start]}{each}" for start, each in given]


_SIGNS = {"sampler.": "++", "sampler/": "+", "condition.": "++", "sheet.": "++", "edit.source.": "++"}
"""How an override is told to Hydra that changes what only the run has."""


def as_typed(override: str) -> str:
    """What was typed for one of the overrides that `of_the_own` gives."""
    for start, sign in _SIGNS.items():
        if override.startswith(f"{sign}{start}"):
            return override.removeprefix(sign)
    own = override.removeprefix("++")
    return own if _INSTEAD.match(own) else override
