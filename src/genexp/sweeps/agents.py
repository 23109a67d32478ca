"""A question as a Weights & Biases sweep: W&B chooses values, agents on any number of machines run them.

Imports no torch.
"""

import math
import sys
from collections.abc import Sequence

from genexp.files.trees import Tree
from genexp.sweeps.question import Choices, Question, Range
from genexp.sweeps.study.space import require_searchable, values_of, written

METHODS = ("bayes", "random", "grid")


def wandb_sweep(
    question: Question,
    method: str = "bayes",
    metric: str | None = None,
    project: str = "genexp",
    count: int | None = None,
    overrides: Sequence[str] = (),
) -> Tree:
    """What `wandb sweep` reads.

    Agents start `python -m genexp train key=value ...`. The metric is `best/<metric>`: what a run writes for its
    monitored value, the best so far, and leaves in its summary; the command therefore also sets what is monitored.

    Args:
        question: What is asked.
        method: `bayes`, `random` or `grid`.
        metric: Which of the question's metrics W&B looks at, since it takes one; by default the first and only one.
        project: W&B project.
        count: Runs after which the sweep ends, of all agents together, or None.
        overrides: Further overrides of all runs.

    Raises:
        ValueError: an argument is none of the above, or the question cannot be asked in this way.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method}")
    if count is not None and count < 1:
        raise ValueError(f"count must be at least 1 run, got {count}")
    name, direction = _objective(question, metric)
    mode = {"minimize": "min", "maximize": "max"}[direction]
    shared = [*question.overrides, f"training.monitor={name}", f"training.monitor_mode={mode}"]
    online = ["logger=wandb", f"logger.wandb.project={project}", "logger.wandb.mode=online"]
    command = ["${env}", "${interpreter}", "-m", "genexp", "train", *shared, *online, *overrides, "${args_no_hyphens}"]
    sweep = {
        "project": project,
        "name": question.name,
        "description": question.question,
        "method": method,
        "metric": {"name": f"best/{name}", "goal": direction},
        "parameters": {key: _parameter(key, node, method) for key, node in question.space.items()},
        "command": command,
    }
    return sweep if count is None else {**sweep, "run_cap": count}


def _objective(question: Question, metric: str | None) -> tuple[str, str]:
    if metric is None and len(question.metrics) > 1:
        raise ValueError(
            f"metric must be one of {', '.join(question.metrics)}, since W&B takes one, and none was given; "
            "genexp train -m sweep=... takes all of them"
        )
    name = metric or question.metrics[0]
    if name not in question.metrics:
        raise ValueError(f"metric must be one of {', '.join(question.metrics)}, got {name}")
    return name, question.directions[question.metrics.index(name)]


def _parameter(key: str, node: Range | Choices, method: str) -> Tree:
    require_searchable(key, node)
    values = doubles(node) if isinstance(node, Range) and node.whole and node.log else values_of(node)
    if isinstance(node, Range) and node.whole and not node.log and node.step is None and method != "grid":
        return {"distribution": "int_uniform", "min": node.low, "max": node.high}
    if values is not None:
        return {"values": [each if _is_number(each) else written(each) for each in values]}
    if method == "grid":
        raise ValueError(f"method must be bayes or random where {key} is a range without step, got grid")
    return {"distribution": "log_uniform_values" if node.log else "uniform", "min": node.low, "max": node.high}


def doubles(node: Range) -> list[int]:
    """The integers of a range over exponents: low, its doubles, and high.

    W&B gives back real numbers for quantised ranges, which are no widths and no counts.
    """
    low, high = int(node.low), int(node.high)
    found = [low * 2**i for i in range(int(math.log2(high / low)) + 1)]
    return found if found[-1] == high else [*found, high]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def print_next_steps(path: str, project: str, count: int | None) -> None:
    """Say how the sweep is created and how agents join it."""
    each = "" if count is None else f" --count {count}"
    print(f"create it     wandb sweep {path}")
    print(f"start agents  wandb agent{each} <entity>/{project}/<sweep id>    on any machine; wandb sweep prints the id")
    print("compare       genexp compare group=<sweep id>")
    sys.stdout.flush()
