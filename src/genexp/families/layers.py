"""Layers of a model by name: modules, parameters and buffers, as a person types them."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from genexp.files.trees import Tree
from genexp.terminal import nearest

_MOST = 12
"""Layers that a line names."""


def below(name: str, patterns: Iterable[str]) -> bool:
    """Whether a dotted name is that of a layer which one of the patterns names, or lies below it.

    Args:
        name: As in `named_modules` or `state_dict`.
        patterns: Names of layers; `*`, `?` and `[...]` stand for text, as in the names of files.
    """
    return any(fnmatchcase(each, pattern) for pattern in patterns for each in with_those_above(name))


def with_those_above(name: str) -> list[str]:
    """A dotted name and those of all layers that hold it, the outermost first."""
    words = name.split(".")
    return [".".join(words[: i + 1]) for i in range(len(words))]


def require_layers(model: nn.Module, patterns: Sequence[str], key: str) -> None:
    """Refuse names of layers that the model does not have.

    Args:
        model: The model.
        patterns: As for `below`.
        key: Where they were typed.

    Raises:
        ValueError: one matches no layer with parameters or buffers; with the nearest name.
    """
    names = [*model.state_dict(), *(name for name, _ in model.named_parameters())]
    for pattern in patterns:
        if any(below(name, [pattern]) for name in names):
            continue
        known = sorted({each for name in names for each in with_those_above(name)})
        close = nearest(pattern, known)
        depth = pattern.count(".") + 1
        beside = sorted({".".join(name.split(".")[:depth]) for name in names})
        told = f"layers there: {', '.join(beside[:_MOST])}{' ...' if len(beside) > _MOST else ''}"
        told = f"did you mean {close}? ({told})" if close else told
        raise ValueError(f"{key} must name layers of the model that have weights, got {pattern}; {told}")


def owner(name: str) -> str:
    """The layer to which a parameter or buffer belongs, whatever norm its weights have."""
    return name.partition(".parametrizations.")[0] if ".parametrizations." in name else name.rpartition(".")[0]


def in_words(names: Iterable[str], most: int = 6) -> str:
    """The layers that own some parameters and buffers, each once, the first ones by name."""
    layers = list(dict.fromkeys(owner(name) or name for name in names))
    more = f" and {len(layers) - most} more" if len(layers) > most else ""
    return ", ".join(layers[:most]) + more


def rename_first(named: Tree, words: dict[str, str]) -> None:
    """Give sub-modules other names in a mapping by dotted names, by their first words."""
    for name, (first, *rest) in [(name, name.split(".")) for name in named]:
        if first in words:
            named[".".join([words[first], *rest])] = named.pop(name)
