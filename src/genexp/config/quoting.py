"""Paths and texts as values of overrides: they arrive as they were typed, whatever Hydra's grammar makes of them."""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from genexp.config.text_keys import holds_words, is_text

_PLAIN = re.compile(r"(?!(?:true|false|null|nan|inf)$|\.\d)[a-z_/.*?][\w./:*?+@%-]*", re.IGNORECASE | re.ASCII)
"""What Hydra's grammar reads as the same text: no number, no truth, no letter that has a meaning there."""

_FUNCTION = re.compile(r"(?:bool|choice|float|glob|int|interval|range|shuffle|sort|str|tag)\s*\(.*\)", re.DOTALL)
_ESCAPED = re.compile(r"\\([()\[\]{}:=, \t])")


def typed_texts(arguments: Sequence[str]) -> list[str]:
    """A command line in which the values of keys that mean text are quoted where Hydra would read something else.

    Where several runs are asked for, commas part values; otherwise they belong to the text.

    Args:
        arguments: Flags and overrides.
    """
    several = bool({"-m", "--multirun"} & set(arguments)) or any(_ASKS_FOR_MANY.match(each) for each in arguments)
    return [text_quoted(each, several) for each in arguments]


_ASKS_FOR_MANY = re.compile(r"hydra\.mode=multirun$|sweep=(?!null$)", re.IGNORECASE)


def text_quoted(argument: str, several: bool = False) -> str:
    """An override whose value stays the text that was typed: `name=42` as `name='42'`, `tags=[1,b]` as `tags=['1',b]`.

    Left alone are null, interpolations, what is quoted already, functions of Hydra's grammar over other values, and all
    values of keys that mean no text.

    Args:
        argument: An override, or a flag.
        several: Whether commas part values, as in a sweep.
    """
    key, equals, value = argument.partition("=")
    if not equals or key.startswith("-"):
        return argument
    if is_text(key):
        value = _in_order(value) if several else value
        parts = list(parts_of(value)) if several or holds_words(key) else []
        return f"{key}={','.join(_element(each) for each in parts) if len(parts) > 1 else _element(value)}"
    inside = value.strip()
    if inside.startswith("{") and inside.endswith("}"):
        return f"{key}={_mapping(key, inside)}"
    return argument


def _in_order(value: str) -> str:
    """`sort(b,a)` as `a,b`, and likewise shuffle and choice: inside a function Hydra forgets quotes."""
    function = re.fullmatch(r"\s*(choice|shuffle|sort)\s*\((.*)\)\s*", value, re.DOTALL)
    parts = list(parts_of(function[2])) if function else []
    options = {each.replace(" ", "").lower() for each in parts if re.match(r"reverse\s*=", each)}
    parts = [each for each in parts if each.replace(" ", "").lower() not in options]
    if not parts or any(_FUNCTION.fullmatch(each) or re.match(r"list\s*=|\[", each) for each in parts):
        return value
    if function[1] == "sort":
        parts.sort(key=unquoted, reverse="reverse=true" in options)
    if function[1] == "shuffle":
        random.SystemRandom().shuffle(parts)
    return ",".join(parts)


def _mapping(key: str, text: str) -> str:
    pairs = []
    for each in parts_of(text[1:-1]):
        name, colon, value = each.partition(":")
        pairs.append(
            f"{name}:{text_quoted(f'{key}.{name.strip()}={value.strip()}').partition('=')[2]}" if colon else each
        )
    return "{" + ",".join(pairs) + "}"


def _element(value: str) -> str:
    text = value.strip()
    if text in ("", "{}") or text.lower() == "null" or "${" in text or _is_quoted(text):
        return value
    if text[0] + text[-1] in ("[]", "{}"):
        inside = (_element(each) for each in parts_of(text[1:-1])) if text[0] == "[" else (text[1:-1],)
        return f"{text[0]}{','.join(inside)}{text[-1]}"
    if _PLAIN.fullmatch(value) or _FUNCTION.fullmatch(text):
        return value
    return quoted_text(_ESCAPED.sub(r"\1", value))


def parts_of(text: str) -> Iterator[str]:
    """What stands between the commas of a list or a sweep; brackets, braces and quotes keep theirs.

    Args:
        text: Without the brackets around it.
    """
    part, depth, quote, escaped = "", 0, "", False
    for character in text:
        if escaped:
            pass
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and part.rstrip()[-1:] in ("", *"=:[({,"):
            quote = character
        else:
            depth = max(0, depth + (character in "[{(") - (character in "]})"))
        escaped = character == "\\" and not escaped
        if character == "," and depth == 0 and not quote and part[-1:] != "\\":
            yield part.strip()
            part = ""
        else:
            part += character
    if part.strip():
        yield part.strip()


def _is_quoted(text: str) -> bool:
    return bool(re.fullmatch(r"""'([^'\\]|\\.)*'|"([^"\\]|\\.)*\"""", text, re.DOTALL))


def quoted(path: Path) -> str:
    """A path as the value of an override, whatever characters it has."""
    text = str(path)
    return text if _PLAIN.fullmatch(text) else quoted_text(text)


def quoted_text(text: str) -> str:
    """A text as the value of an override, in quotes."""
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + (r"\'" if found[2] else ""), text)
    return f"'{escaped}'"


def unquoted(value: str) -> str:
    """A path from the value of an override, quoted or not."""
    if not _is_quoted(value):
        return value
    return re.sub(rf"(\\+)({value[0]}|$)", lambda found: found[1][: len(found[1]) // 2] + found[2], value[1:-1])
