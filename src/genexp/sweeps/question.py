"""A question that a sweep answers: what is judged, and which values of which keys are tried. Imports no torch.

A file `conf/sweep/<question>.yaml` has these keys:

```yaml
question: Which step size suits the small UNet?
metric: fd                      # a value of the evaluation, or a list of several
direction: minimize             # minimize | maximize, or one for each metric
space:
  model.optimizer.lr: {low: 1e-5, high: 1e-2, log: true}
  model.network.width: {low: 16, high: 64, step: 16}
  sampler: {choices: [ddim, ddpm]}   # a group of the configuration
overrides: [experiment=quickstart]   # what all jobs share
```
"""

from dataclasses import dataclass
from pathlib import Path

from genexp.config.compose import choice_files, load_plain
from genexp.config.text_keys import is_text
from genexp.files.trees import Tree

KEYS = ("question", "metric", "direction", "space", "overrides")
DIRECTIONS = ("minimize", "maximize")


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, both included.

    Args:
        low: The smallest.
        high: The largest.
        log: Whether the exponent is spread evenly, not the number.
        step: Distance of neighbours, or None.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether all numbers are integers."""
        return all(isinstance(each, int) for each in (self.low, self.high, self.step or 1))


@dataclass(frozen=True)
class Choices:
    """Some values."""

    values: tuple[object, ...]


@dataclass(frozen=True)
class Question:
    """What one file in `conf/sweep` says.

    Args:
        name: The file's name.
        question: The question in words.
        metrics: Values that jobs are judged by.
        directions: `minimize` or `maximize` for each.
        space: What is tried, by dotted key or configuration group.
        overrides: What all jobs share.
    """

    name: str
    question: str
    metrics: tuple[str, ...]
    directions: tuple[str, ...]
    space: dict[str, Range | Choices]
    overrides: tuple[str, ...]


def read_question(name: str, folder: Path | None = None) -> Question:
    """Read a question.

    Args:
        name: Name of a file in `folder`, without its suffix.
        folder: By default the questions of genexp and of projects.

    Raises:
        ValueError: there is none of this name, or its content is not as above.
    """
    known = choice_files("sweep") if folder is None else {each.stem: each for each in sorted(folder.glob("*.yaml"))}
    if name not in known:
        raise ValueError(f"sweep must be one of {', '.join(known) or 'none: there are no questions'}, got {name}")
    return question_of(name, load_plain(known[name], "a question"))


def question_of(name: str, plain: Tree) -> Question:
    """A question from the content of its file.

    Raises:
        ValueError: a key is missing, unknown or of the wrong form.
    """
    for key in plain:
        if key not in (*KEYS, "defaults"):
            raise ValueError(f"sweep {name} must have the keys {', '.join(KEYS)}, got {key}")
    metrics = _listed(plain.get("metric"))
    directions = _listed(plain.get("direction", "minimize"))
    directions = directions * len(metrics) if len(directions) == 1 else directions
    if not metrics or len(directions) != len(metrics) or not set(directions) <= set(DIRECTIONS):
        raise ValueError(
            f"sweep {name} must name a metric, and minimize or maximize for each, got {metrics} and {directions}"
        )
    space = {
        str(key): _dimension(str(key), f"space.{key} of sweep {name}", node)
        for key, node in (plain.get("space") or {}).items()
    }
    if not space:
        raise ValueError(f"sweep {name} must have a space with at least one key, got none")
    overrides = tuple(str(each) for each in plain.get("overrides") or ())
    return Question(name, str(plain.get("question", "")), tuple(metrics), tuple(directions), space, overrides)


def _listed(node: object) -> list[str]:
    return [] if node is None else [str(each) for each in node] if isinstance(node, list) else [str(node)]


def _dimension(key: str, where: str, node: object) -> Range | Choices:
    if isinstance(node, dict) and set(node) == {"choices"} and node["choices"]:
        for each in node["choices"] if is_text(key) else ():
            if isinstance(each, bool | int | float):  # YAML has read 007 as 7, on as true
                raise ValueError(
                    f"{where} must have texts as choices, in quotes where they look like numbers, got {each}"
                )
        return Choices(tuple(node["choices"]))
    if not isinstance(node, dict) or not {"low", "high"} <= set(node) <= {"low", "high", "log", "step"}:
        raise ValueError(f"{where} must be {{low, high, log, step}} or {{choices: [...]}}, got {node}")
    found = Range(_number(where, node["low"]), _number(where, node["high"]), bool(node.get("log")), node.get("step"))
    if not found.low < found.high or (found.log and found.low <= 0):
        raise ValueError(f"{where} must have low below high, and with log above 0, got {node}")
    return found


def _number(where: str, value: object) -> float:
    """YAML reads 1e-5 as text."""
    try:
        return value if isinstance(value, int | float) else float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} must have numbers as low and high, got {value!r}") from error
