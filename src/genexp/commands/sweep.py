"""genexp sweep: a question of conf/sweep prepared for those who run it elsewhere. Imports no torch."""

import sys
from pathlib import Path

from genexp.config.messages import told

HELP = """usage: genexp sweep wandb sweep=<question> [option=value ...] [key=value ...]

writes the file by which Weights & Biases asks a question of conf/sweep, and says how to start agents on it;
genexp train -m sweep=<question> asks it on this machine, or with launcher=slurm on a cluster

  sweep=<question>    a file of conf/sweep
  method=bayes        bayes | random | grid
  metric=<name>       which of several metrics W&B looks at
  count=<n>           runs after which the sweep ends
  project=genexp      W&B project
  out=<file>          what to write; <question>.wandb.yaml by default
  conf=<folder>       where questions are; conf/sweep by default
  key=value           any other is an override of all runs, as for genexp train
"""
OPTIONS = ("sweep", "method", "metric", "count", "project", "out", "conf")


def main(arguments: list[str]) -> int:
    """Run the command.

    Returns:
        0, or 1 when an option is wrong.
    """
    if not arguments or {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    try:
        write_wandb_sweep(arguments)
    except Exception as error:
        if (line := told(error)) is None:
            raise
        print(f"genexp sweep: {line}", file=sys.stderr)
        return 1
    return 0


def write_wandb_sweep(arguments: list[str]) -> Path:
    """Write the file that the arguments ask for and print what to do with it.

    Returns:
        The file.

    Raises:
        ValueError: an argument is wrong, or the runs would not compose.
    """
    import yaml

    from genexp.sweeps.agents import print_next_steps, wandb_sweep
    from genexp.sweeps.question import read_question

    if arguments[0] != "wandb":
        raise ValueError(f"sweep must be followed by wandb, got {arguments[0]}")
    options, overrides = _parsed(arguments[1:])
    if "sweep" not in options:
        raise ValueError("sweep=<question> must be given; genexp sweep --help")
    question = read_question(options["sweep"], Path(options["conf"]) if "conf" in options else None)
    count = _count(options.get("count"))
    project = options.get("project", "genexp")
    sweep = wandb_sweep(question, options.get("method", "bayes"), options.get("metric"), project, count, overrides)
    require_composing(sweep)
    path = Path(options.get("out", f"{question.name.replace('/', '_')}.wandb.yaml"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(sweep, sort_keys=False, width=120))
    print(f"wrote         {path}")
    print_next_steps(str(path), project, count)
    return path


def require_composing(sweep: dict) -> None:
    """Compose the run with the first value of every parameter, and with the last.

    Raises:
        ValueError: a key or value is not one of `genexp train`.
    """
    from genexp.config.check import problems_of

    command = sweep["command"]
    shared = command[command.index("train") + 1 : -1]
    for place in (0, -1):
        tried = [f"{key}={_end(node, place)}" for key, node in sweep["parameters"].items()]
        problems = problems_of("train", [*shared, *tried])
        if problems:
            raise ValueError(
                "\n".join([f"the runs of this sweep must be valid, got with {' '.join(tried)}", *problems])
            )


def _end(node: dict, place: int) -> object:
    return node["values"][place] if "values" in node else (node["min"], node["max"])[place]


def _parsed(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    options, overrides = {}, []
    for each in arguments:
        key, equals, value = each.partition("=")
        if not equals:
            raise ValueError(f"an argument must read key=value, got {each!r}")
        if key in OPTIONS:
            options[key] = value
        else:
            overrides.append(each)
    return options, overrides


def _count(text: str | None) -> int | None:
    if text is None or text.isdigit():
        return None if text is None else int(text)
    raise ValueError(f"count must be a number of runs, got {text}")
