"""The command line: `genexp <command> [overrides]`. Imports no torch before a command needs it."""

import importlib
import os
import signal
import sys

from genexp.terminal import keep_output_plain, reader_left, say_loading

COMMANDS = {
    "train": ("genexp.commands.train", "fit a model; leaves a run folder"),
    "sample": ("genexp.commands.sample", "draw images from a run: grid, single PNGs, interpolation, denoising strip"),
    "evaluate": ("genexp.commands.evaluate", "measure a run or a folder of images; every value with its protocol"),
    "reproduce": ("genexp.commands.reproduce", "a paper's ablation run to its table, beside the paper's numbers"),
    "compare": ("genexp.commands.compare", "runs side by side: a table, files, and a page that opens from disk"),
    "stylize": ("genexp.commands.stylize", "paint one photograph in the style of another"),
    "restore": ("genexp.commands.restore", "pictures of any size through a trained network that restores them"),
    "play": ("genexp.commands.play", "a page on this machine to draw from runs, paint and restore pictures"),
    "augment": ("genexp.commands.augment", "a labelled folder of pictures from a run of classes, to train with"),
    "export": ("genexp.commands.export", "a run as a file for ONNX, OpenVINO, PyTorch or diffusers"),
    "import": ("genexp.commands.import_folder", "a folder that diffusers has saved, as a run that every command takes"),
    "new": ("genexp.commands.new", "a project of your own: network, data set, recipe and test, outside of genexp"),
    "sweep": ("genexp.commands.sweep", "a question of conf/sweep as a W&B sweep, for agents on many machines"),
    "validate": ("genexp.commands.validate", "check configurations against the code without building anything"),
    "info": (
        "genexp.commands.info",
        "versions, devices, folders; info metrics: every metric; info <picture>: what made it",
    ),
}

_READ_THEMSELVES = {"info", "new", "sweep", "validate"}
"""Commands whose words are not those of a configuration: they read them by their own `main`."""

_ASKS = {"-c", "--cfg", "-i", "--info", "-p", "--package", "--resolve", "--hydra-help"}
"""Flags by which Hydra answers itself, and at once."""

_COMPLETES = {"-sc", "--shell-completion"}

HELP = """genexp: image-generation experiments with PyTorch Lightning, Hydra and Weights & Biases

usage: genexp <command> [key=value ...] [group=choice ...]

commands
{commands}

examples
  genexp train                                     experiment=quickstart: diffusion on real digits, two minutes on a CPU
  genexp train model=gan                           model=gan | vae | style; data=digits | shapes | toy2d | cifar10 | ...
  genexp train model.network.width=64 seed=1       any value of the configuration
  genexp train -m seed=0,1,2 model=vae,gan         a sweep, on this machine; launcher=slurm: on a cluster
  genexp train resume=auto                         continue the newest unfinished run of this configuration
  genexp sample run=outputs/<run> num=64 seed=0    pictures from a trained model

  genexp evaluate run=outputs/<run> metrics=[fd,kid]  values with intervals beside what real images reach
  genexp reproduce ablation=ddim_table1 scale=cpu     a paper's table with error bars, its claims tested
  genexp compare runs='outputs/**'                    what differs and what came of it, mean and std over seeds

  genexp <command> --help                          the groups and values of a command
  genexp <command> --cfg job                       the configuration it would run with
  eval "$(genexp -sc install=bash)"                lets the shell complete all of it; zsh and fish likewise
"""

_READER_LEFT = 141
"""Exit status of a program that SIGPIPE ends."""


def main(argv: list[str] | None = None) -> int:
    """Dispatch to a command.

    Returns:
        The exit status: 0, 2 when no such command exists, 130 when it was interrupted (Ctrl-C), or 141 where who read
        its output has left.
    """
    keep_output_plain()
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP.format(commands="\n".join(f"  {name:<10}{text}" for name, (_, text) in COMMANDS.items())), end="")
        return 0
    if _COMPLETES & set(arguments):
        from genexp.commands.shell_completion import main as complete

        return complete(arguments, COMMANDS)
    name = arguments[0]
    if name == "_serve":  # typed by a sweep for the process that starts its jobs
        from genexp.pool.fork_server import serve

        serve(arguments[1:], main, ("genexp.commands.train", "genexp.commands.evaluate"))
    if name in ("-V", "--version"):
        from importlib.metadata import version

        print(f"genexp {version('genexp')}")
        return 0
    if name not in COMMANDS:
        from genexp.config.problems import did_you_mean

        hint = did_you_mean(name, COMMANDS, listed=False)
        print(f"genexp: command must be one of {', '.join(COMMANDS)}, got {name!r}{hint}", file=sys.stderr)
        return 2
    full = os.environ.get("HYDRA_FULL_ERROR", "0")
    try:
        return _run(name, arguments[1:])
    except BrokenPipeError:
        if not reader_left():
            raise
        return _READER_LEFT
    except KeyboardInterrupt:
        if full != "0":
            raise
        print(f"genexp {name}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


def _run(name: str, arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        from genexp.commands.usage import usage
        from genexp.config.compose import conf_dir

        path = conf_dir() / f"{name}.yaml"
        if path.is_file():
            print(usage(path), end="")
            return 0
    from genexp.hardware import keep_freed_memory
    from genexp.startup import postpone

    if not _ASKS & set(arguments):
        say_loading()
    postpone()
    keep_freed_memory()
    module = importlib.import_module(COMMANDS[name][0])
    if name in _READ_THEMSELVES:
        return module.main(arguments)
    from genexp.commands.launch import launch

    launch(name, getattr(module, module.__name__.rsplit(".")[-1]), arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
