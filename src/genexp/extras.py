"""Libraries of extras, which are asked for before any work. Imports no torch."""

import importlib.util
import logging

_NOISE = {"torch.utils._pytree": "register_constant", "diffusers.quantizers.torchao.torchao_quantizer": "torchao"}
"""Loggers by which torchao, where diffusers imports it, warns of what concerns nobody, and a word of each warning."""


def require_extra(library: str, for_what: str, extra: str = "hub") -> None:
    """Raise ValueError where a library is not installed, naming the extra that brings it.

    Args:
        library: Its name, such as `diffusers`.
        for_what: Beginning of the line, such as `format=diffusers`.
        extra: The extra.
    """
    if importlib.util.find_spec(library) is None:
        raise ValueError(f"{for_what} needs the extra '{extra}', which holds {library}: uv sync --extra {extra}")
    for name, word in _NOISE.items():
        logging.getLogger(name).addFilter(_Without(word))


class _Without(logging.Filter):
    """Lets pass what does not have a word in it; two of one word are one filter."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Without) and other.word == self.word

    def __hash__(self) -> int:
        return hash(self.word)

    def filter(self, record: logging.LogRecord) -> bool:
        return self.word not in record.getMessage()
