"""genexp -sc: what a shell may complete a line with. Imports no torch, and Hydra only for keys with a dot."""

import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any, TypeGuard

from omegaconf import DictConfig

from genexp.commands.shells import HOW, INSTALL, UNINSTALL
from genexp.commands.usage import TYPED, Described, keys_of
from genexp.config.compose import compose, conf_dir, group_names, own_choices
from genexp.config.composition_errors import options
from genexp.config.text_keys import PLACES
from genexp.runs.newest import finished_runs, outputs_folder
from genexp.terminal import shown_path

HELP = f"""usage: genexp -sc install=<shell>     what completes commands, groups, choices, keys and files
       genexp -sc uninstall=<shell>   what takes it away again

{"".join(f"  {shell:<6}{line}{chr(10)}" for shell, line in HOW.items())}"""

_FLAGS = ("--cfg", "--config-dir", "--help", "--hydra-help", "--info", "--multirun", "--package", "--resolve")
_AFTER_FLAGS = {"--cfg": ("job", "hydra", "all"), "-c": ("job", "hydra", "all")}
_FILES = {"run", "resume", "run_dir", "runs", "out", "publish", "generated", "reference", "floor", "content", "style"}
_FILES |= {"input", "checkpoint", "masks"}
_BUILT_BY = {"optimizer": "torch.optim.", "ramp": "genexp.ramps."}
_RUNS = 20


def main(arguments: Sequence[str], commands: Collection[str]) -> int:
    """Print the script that installs or removes the completion, or what a line may go on with.

    Args:
        arguments: Of the whole command line; `query=` reads the line up to the cursor from `COMP_LINE`.
        commands: The names of all commands.

    Returns:
        The exit status: 0, or 2 when it was asked for something else.
    """
    for each in arguments:
        task, _, shell = each.partition("=")
        scripts = {"install": INSTALL, "uninstall": UNINSTALL}.get(task)
        if scripts and shell in scripts:
            print(scripts[shell], end="")
            return 0
        if task == "query" and shell in INSTALL:
            line = os.environ.get("COMP_LINE", "")
            print("".join(f"{_escaped(offer, shell)}\n" for offer in sorted(set(offers(line, commands)))), end="")
            return 0
    print(HELP, end="", file=sys.stderr)
    return 2


def offers(line: str, commands: Collection[str]) -> Iterator[str]:
    """What the last word of a line may become, whole words each.

    Args:
        line: The line up to the cursor, from the program's name on.
        commands: The names of all commands.
    """
    *before, word = [re.sub(r"\\(.)|['\"]", r"\1", each) for each in re.findall(r"(?:[^\s\\]|\\.)+", line)] or [""]
    if line[-1:].isspace():
        before, word = [*before, word], ""
    if len(before) < 2:
        found: Iterator[str] = (each for each in (*commands, "--help", "--version"))
    elif before[-1] in _AFTER_FLAGS:
        found = iter(_AFTER_FLAGS[before[-1]])
    elif word.startswith("-"):
        found = iter(_FLAGS)
    else:
        command = "train" if before[1] == "validate" else before[1]
        found = _overrides(command, before[2:], word)
    yield from (each for each in found if each.startswith(word))


def _overrides(command: str, before: Sequence[str], word: str) -> Iterator[str]:
    path = conf_dir() / f"{command}.yaml"
    if not path.is_file():
        yield from _of_sweep(before, word) if command == "sweep" else ()
        return
    signs = re.match(r"[+~]*", word)[0]
    key, equals, value = word.removeprefix(signs).partition("=")
    groups, keys = keys_of(path)
    if equals:
        head, part = re.fullmatch(r"(.*[,\[])?(.*)", value).groups()  # the last of several values
        found = (f"{key}={head or ''}{each}" for each in _values(command, before, key, part, groups, keys))
    elif "." in key or "@" in key:
        found = _dotted(command, before, key)
    elif "/" in key:
        found = _parts(key)
    else:
        found = _first_words(groups, keys)
    yield from (f"{signs}{each}" for each in found)


def _first_words(groups: Described, keys: Described) -> Iterator[str]:
    for each in (*groups, *keys):
        yield f"{TYPED.get(each, each)}="
    for each in groups:
        if each not in ("experiment", "debug", "launcher", "sweep"):
            yield f"{each}."
    if "model" in groups:
        yield "model/"
        yield from (f"{each}@model." for each in _BUILT_BY)
    yield "hydra."


def _parts(key: str) -> Iterator[str]:
    """The groups below a group: `model/network=`, `model/critic/`."""
    above, groups = key.rpartition("/")[0], group_names()
    for name in (each for each in groups if each.rpartition("/")[0] == above):
        yield from [f"{name}="] * bool(own_choices(name))
        yield from [f"{name}/"] * any(each.startswith(f"{name}/") for each in groups)


def _values(
    command: str, before: Sequence[str], key: str, part: str, groups: Described, keys: Described
) -> Iterator[str]:
    """What a value may be: a choice, a run, a file, a word that the command's file names beside the key."""
    folder = {"ablation": "ablation", "hydra/launcher": "hydra/launcher"}.get(key, key.partition("@")[0])
    if folder in groups or key == "ablation" or "/" in folder or "@" in key:
        yield from (each for each in options(folder) if "/" not in each or folder == "experiment")
        yield from ["null"] * (folder in groups)
    elif "." in key:
        yield from _present_value(command, before, key)
    else:
        value, text = keys.get(key, ("", ""))
        yield from ("true", "false") if value in ("true", "false") else ()
        words = text.split(":")[0].split(" | ") if "|" in text else ()
        yield from (each for each in words if re.fullmatch(r"\w+", each))
    if key in ("run", "resume", "runs") and not part:
        yield from (shown_path(each.path) for each in islice(finished_runs(outputs_folder()), _RUNS))
    if key in ("generated", "reference", "floor"):
        yield from options("data")
    if key in _FILES or key.rpartition(".")[2] in PLACES or key.startswith("paths."):
        yield from _files(part)


def _files(part: str) -> Iterator[str]:
    """Files and folders whose path begins like this; folders end in a slash."""
    folder, name = os.path.split(part)
    try:
        found = sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda each: each.name)
    except OSError:
        return
    for each in found:
        if each.name.startswith(name) and (name.startswith(".") or not each.name.startswith(".")):
            yield f"{os.path.join(folder, each.name)}{'/' if each.is_dir() else ''}"


def _dotted(command: str, before: Sequence[str], key: str) -> Iterator[str]:
    """The keys below a section of the configuration that the rest of the line composes."""
    group, at, place = key.rpartition("@")
    above = place.rpartition(".")[0]
    for name, child in _children(_composed(command, before, above), above):
        if not at:
            yield f"{above}.{name}{'.' if _is_section(child) else '='}"
        elif _is_section(child) and str(child.get("_target_")).startswith(_BUILT_BY.get(group, "-")):
            yield f"{group}@{above}.{name}="


def _present_value(command: str, before: Sequence[str], key: str) -> Iterator[str]:
    above, _, last = key.rpartition(".")
    for name, child in _children(_composed(command, before, above), above):
        value = child._value() if name == last and not _is_section(child) else None
        if isinstance(value, bool):
            yield from ("true", "false")
        elif value is not None and str(value) != "???":
            yield str(value)


def _composed(command: str, before: Sequence[str], key: str) -> DictConfig | None:
    """The configuration of a line, as far as it composes; None where it does not."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return compose(command, [each for each in before if "=" in each], with_hydra=key.startswith("hydra"))
    except (HydraException, OmegaConfBaseException, ValueError):
        return None


def _children(config: DictConfig | None, path: str) -> Iterator[tuple[str, Any]]:
    node = config
    for word in path.split("."):
        node = node._get_node(word) if _is_section(node) and word in node else None
    if _is_section(node):
        yield from ((str(key), node._get_node(key)) for key in node if key not in ("_target_", "_partial_"))


def _is_section(node: object) -> TypeGuard[DictConfig]:
    return isinstance(node, DictConfig) and not (node._is_none() or node._is_missing() or node._is_interpolation())


def _of_sweep(before: Sequence[str], word: str) -> Iterator[str]:
    from genexp.commands.sweep import OPTIONS
    from genexp.sweeps.agents import METHODS

    if not before:
        yield "wandb"
    elif word.startswith("sweep="):
        yield from (f"sweep={each}" for each in options("sweep"))
    elif word.startswith("method="):
        yield from (f"method={each}" for each in METHODS)
    else:
        yield from (f"{each}=" for each in OPTIONS)


def _escaped(offer: str, shell: str) -> str:
    """An offer as it stands in a line; fish escapes by itself."""
    return offer if shell == "fish" else re.sub(r"([\s'\"\\$&;|<>()`!])", r"\\\1", offer)
