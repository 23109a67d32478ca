"""genexp info metrics: every metric that can be chosen, as its file and its class describe it."""

from genexp.config.compose import conf_dir
from genexp.config.composition_errors import options
from genexp.config.targets import locate
from genexp.files.yaml_records import read_yaml
from genexp.terminal import print_columns

_LOOKS_AT = {"sets": "sets of images", "pairs": "image i beside image i", "model": "the model"}


def print_metrics() -> None:
    """Print a row for every metric: values, which direction is better, what it looks at, and its file's first line."""
    rows = []
    for name in options("metrics"):
        path = conf_dir() / "metrics" / f"{name}.yaml"
        for node in read_yaml(path).values():
            if isinstance(node, dict) and "_target_" in node:
                metric = locate(node["_target_"])
                values = ", ".join(f"{value} ({better})" for value, better in metric.values.items())
                said = next(line for line in path.read_text().splitlines() if line.startswith("# "))
                rows.append((name, values, _LOOKS_AT[metric.kind], said.removeprefix("# ")))
    print_columns(("metrics=", "values (better)", "looks at", "what it is"), rows)
