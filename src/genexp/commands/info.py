"""genexp info: what this installation is and what it found."""

import os
import sys
from pathlib import Path

from genexp.commands.picture_info import names_file, print_asked
from genexp.terminal import counted, print_table


def main(arguments: list[str]) -> int:
    """Print versions, devices and folders; with `metrics` every metric; with a picture or weights what they say.

    Returns:
        0, 1 for a picture that cannot be read, or 2 for another argument.
    """
    if arguments == ["metrics"]:
        from genexp.commands.metric_list import print_metrics

        print_metrics()
        return 0
    if arguments and names_file(arguments[0]):
        return print_asked(*arguments)
    if arguments:
        return _helped(arguments[0])
    import torch

    from genexp.commands.usage import keys_of
    from genexp.config.compose import compose, conf_dir, own_choices
    from genexp.config.composition_errors import options
    from genexp.config.projects import conf_dirs, without_conf
    from genexp.hardware import cpu_features, devices
    from genexp.runs.provenance import git_state, versions

    cpu, git, paths = cpu_features(), git_state(), compose("train").paths
    units = [label for key, label in _UNITS if cpu[key]] or ["none that PyTorch uses"]
    rows = [(name, number) for name, number in versions().items()]
    state = "{commit:.10} on {branch}, {changed_files} files changed".format(**git) if git else "no checkout"
    rows.append(("git", state))
    counts = [counted(cpu["cores"], "core"), counted(torch.get_num_threads(), "thread")]
    rows.append(("processor", ", ".join([cpu["name"], *counts])))
    rows.append(("bf16 units", ", ".join(units)))
    rows.append(("precision", _precision(torch.cuda.is_available())))
    rows += [("gpu", f"{each['name']}, {each.get('memory_gib', '?')} GiB") for each in devices()] or [("gpu", "none")]
    rows += [("configuration", str(folder)) for folder in (conf_dir(), *conf_dirs())]
    rows += [("configuration", f"none: {line}") for line in without_conf()]
    for key in ("outputs", "data", "cache"):
        path = Path(paths[key]).expanduser().resolve()
        rows.append((key, f"{path}{'' if path.exists() else ' (not there yet)'}"))
    rows.append(("W&B mode", os.environ.get("WANDB_MODE", "offline")))
    groups, _ = keys_of(conf_dir() / "train.yaml")
    for group in sorted(groups.keys() - {"paths"}):
        rows.append((f"{group}=", ", ".join((options if group == "experiment" else own_choices)(group))))
    print_table(rows)
    return 0


def _helped(asked: str) -> int:
    """Print the usage, and what is not known, unless that is what was asked for."""
    if not (wanted := asked in ("-h", "--help")):
        print(f"genexp info: tells of metrics, a picture or a file of weights, got {asked}", file=sys.stderr)
    print(_USAGE)
    return 0 if wanted else 2


def _precision(gpu: bool) -> str:
    from genexp.hardware import BF16_PAYS_FROM, FLOAT32, precision_of

    found = precision_of(gpu)
    return found if gpu or found == FLOAT32 else f"{found}; {FLOAT32} below {BF16_PAYS_FROM:,} parameters"


_USAGE = """usage: genexp info [metrics | <picture> [watermark=<key> [run=<run>]] | <safetensors> [fingerprint=<key>]]
versions, devices, and where configuration, data and outputs are; metrics: every metric that can be chosen;
a picture file: which run made it, from which seed, by which command, as far as it says so; with a key whether it has
the mark of that key in its pixels, and with a run of diffusion in the noise that it was drawn from;
a file of weights: what it says of itself, and with a key whether it has the fingerprint of that key"""
_UNITS = (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-bf16"))
