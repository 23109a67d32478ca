"""What a file says, checked: every error names the key, the rule and what was found. Imports no torch."""

from collections.abc import Iterable, Mapping, Sequence

from genexp.config.problems import did_you_mean
from genexp.files.trees import Tree


def mapping_of(value: object, what: str) -> Tree:
    """A mapping with texts for keys.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} must be a mapping, got {type(value).__name__}")
    return {str(key): each for key, each in value.items()}


def texts_of(value: object, what: str) -> list[str]:
    """A list of texts; empty for None.

    Raises:
        ValueError: it is no list, or holds more than texts and numbers.
    """
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{what} must be a list, got {value!r}")
    for each in value:
        if isinstance(each, Mapping | list):
            raise ValueError(f"{what} must be a list of key=value texts, got {each!r}")
    return [str(each) for each in value]


def require_known(what: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a key that does not exist, with the nearest one that does.

    Raises:
        ValueError: one of `given` is not among `known`.
    """
    for key in given:
        if key not in known:
            hint = did_you_mean(key, known, listed=False)
            raise ValueError(f"{what} must be one of {', '.join(known)}, got {key}{hint}")


def seeds_of(value: object, what: str = "seeds") -> list[int]:
    """Seeds, given as a list or as how many.

    Raises:
        ValueError: it is neither, or one stands there twice.
    """
    seeds = list(range(value)) if type(value) is int else value
    if not isinstance(seeds, list) or not seeds or any(type(each) is not int or each < 0 for each in seeds):
        raise ValueError(f"{what} must be a list of numbers from 0 or how many, got {value!r}")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"{what} must differ, got {seeds}")
    return seeds


def number_of(value: object, what: str) -> float:
    """A number as it stands in the file.

    Raises:
        ValueError: it is text, nothing or a truth value.
    """
    if type(value) not in (int, float):
        raise ValueError(f"{what} must be a number, got {value!r}")
    return float(value)
