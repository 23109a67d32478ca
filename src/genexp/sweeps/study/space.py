"""Ranges and choices as a search needs them: checked, listed, read from the command line, written as overrides."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from genexp.config.quoting import quoted_text
from genexp.sweeps.question import Choices, Range

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

Parameter = Range | Choices
_KEY = re.compile(r"\+{0,2}\w[\w/.@-]*")
_PLAIN = re.compile(r"(?!(true|false|null|nan|inf)$)[A-Za-z_][\w/.-]*", re.IGNORECASE | re.ASCII)


def values_of(parameter: Parameter) -> list[object] | None:
    """All values of a parameter; None of a continuous range. Whole numbers have a step of 1 unless another is set."""
    if isinstance(parameter, Choices):
        return list(parameter.values)
    low, high, whole = parameter.low, parameter.high, parameter.whole
    step = parameter.step or (1 if whole and not parameter.log else None)
    if step is None:
        return None
    steps = range(round((high - low) / step) + 1)
    return [low + i * step if whole else float(f"{low + i * step:.12g}") for i in steps]


def require_searchable(key: str, parameter: Parameter) -> None:
    """Check one entry of a space.

    Args:
        key: The key of the override.
        parameter: Its values.

    Raises:
        ValueError: it cannot be searched, and why.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"space must have keys such as model.optimizer.lr or model/network, got {key!r}")
    if isinstance(parameter, Choices):
        texts = [written(each) for each in parameter.values]
        if len(texts) < 2 or len(set(texts)) < len(texts):
            raise ValueError(f"space: {key} must have at least two choices, each once, got {shown(parameter)}")
        return
    for name, value in (("low", parameter.low), ("high", parameter.high), ("step", parameter.step)):
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number and (name != "step" or value is not None):
            raise ValueError(f"space: {name} of {key} must be a finite number, got {value!r}")
    if not parameter.low < parameter.high:
        raise ValueError(f"space: low of {key} must be below high, got {parameter.low} and {parameter.high}")
    if parameter.log and not parameter.low > 0:
        raise ValueError(f"space: low of {key} must be above 0 with log, got {parameter.low}")
    if parameter.log and parameter.step is not None:
        raise ValueError(f"space: step of {key} must be null with log, got {parameter.step}")
    if parameter.step is not None:
        steps = (parameter.high - parameter.low) / parameter.step if parameter.step > 0 else 0.0
        if steps < 1 or abs(steps - round(steps)) > 1e-6:
            raise ValueError(f"space: step of {key} must divide high - low, got {shown(parameter)}")


def shown(parameter: Parameter) -> str:
    """A parameter in words."""
    if isinstance(parameter, Choices):
        return ", ".join(written(each) for each in parameter.values)
    step = "" if parameter.step is None else f" step {parameter.step}"
    return f"{parameter.low} to {parameter.high}{step}{' log' if parameter.log else ''}"


def written(value: object) -> str:
    """A value as an override has it.

    Raises:
        ValueError: overrides cannot hold it.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else quoted_text(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(written, value)) + "]"
    raise ValueError(f"a choice must be a number, a text, a list or a mapping, got {value!r}")


def short(value: object) -> str:
    """A value as it is shown, with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else written(value)


def typed_space(overrides: Sequence["Override"]) -> Iterator[tuple[str, Parameter]]:
    """What is swept on the command line, in Hydra's words: `a,b`, `choice(...)`, `range(...)`, `interval(...)`.

    Args:
        overrides: Parsed overrides that stand for several values each; `tag(log, interval(...))` searches a logarithm.

    Raises:
        ValueError: one stands for something else.
    """
    from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep

    for override in overrides:
        value, key = override.value(), override.input_line.split("=")[0]
        log = "log" in getattr(value, "tags", ())
        if isinstance(value, IntervalSweep):
            yield key, Range(value.start, value.end, log)
        elif isinstance(value, RangeSweep):
            stops = list(value.range())
            yield key, Range(stops[0], stops[-1], False, value.step) if len(stops) > 1 else Choices(tuple(stops))
        elif isinstance(value, ChoiceSweep):
            yield key, Choices(tuple(each.text if hasattr(each, "text") else each for each in value.list))
        else:
            raise ValueError(f"{key} must be choices, a range or an interval for hydra/sweeper=optuna, got {value}")
