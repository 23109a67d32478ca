"""genexp info metrics: every metric that can be chosen, as its file and its class describe it."""

from genexp.config.compose import choice_files
from genexp.config.targets import locate
from genexp.files.yaml_records import read_yaml
from genexp.terminal import print_columns

_LOOKS_AT = {"sets": "sets of images", "pairs": "image i beside image i", "model": "the model"}


def print_metrics() -> None:
    """Print a row for every metric: values, which direction is better, what it looks at, and its file's first line."""
    rows = []
    for name, path in choice_files("metrics").items():
        for node in read_yaml(path).values():
            if isinstance(node, dict) and "_target_" in node:
                metric = locate(node["_target_"])
                values = ", ".join(f"{value} ({better})" for value, better in metric.values.items())
                said = next(line for line in path.read_text().splitlines() if line.startswith("# "))
                rows.append((name, values, _LOOKS_AT[metric.kind], said.removeprefix("# ")))
    print_columns(("metrics=", "values (better)", "looks at", "what it is"), rows)
