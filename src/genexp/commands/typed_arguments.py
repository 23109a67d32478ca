"""What the words of a command line stand for: the overrides that a command runs with. Imports no torch."""

import sys
from collections.abc import Collection
from pathlib import Path

from omegaconf import OmegaConf

from genexp.config.addresses import require_no_password, with_new_storage
from genexp.config.compose import conf_dir, data_name
from genexp.config.keys import in_place_of_earlier, of_the_own
from genexp.config.quoting import parts_of, quoted, typed_texts, unquoted
from genexp.config.whole_parts import require_one_part
from genexp.files.json_records import is_there
from genexp.runs.places import recorded_places, with_recorded_places
from genexp.runs.records import load_recorded, require_readable
from genexp.runs.run_folder import CONFIG, OVERRIDES, RunFolder
from genexp.runs.trust import TRUST, is_ours, require_harmless, require_harmless_command, wrote_run

_RESUME_SWEEP = "sweep.resume="

_CHOICES = ("experiment", "model", "data", "sweep")
"""Any of these, or a run to resume, says what to train; without one, `genexp train` is `experiment=quickstart`."""


def overrides_of(name: str, arguments: list[str]) -> list[str]:
    """The overrides that the command runs with: those typed, and what they stand for."""
    if "--hydra-help" in arguments:  # of Hydra alone, which then composes nothing
        return ["--hydra-help"]
    if name in _STAND_INS:
        arguments = [_STAND_INS[name](each) for each in arguments]
    require_no_password(arguments)
    arguments = typed_texts(arguments)
    require_one_part(arguments, conf_dir())
    if name in ("sample", "evaluate", "augment", "export"):
        arguments = of_the_own(arguments)
    if name == "evaluate" and not any(a.startswith("data=") for a in arguments):
        named = [data_name(unquoted(a.split("=", 1)[1])) for a in arguments if a.startswith("reference=")]
        return before_overrides(arguments, [f"data={named[-1]}"]) if named and named[-1] else arguments
    if name != "train":
        return arguments
    arguments = in_place_of_earlier(arguments)
    if any(a.startswith(_RESUME_SWEEP) for a in arguments):
        return _continued_sweep(arguments)
    if any(a.startswith("sweep=") and a != "sweep=null" for a in arguments):
        arguments = _searching(arguments)
    trusted, arguments = TRUST in arguments, [a for a in arguments if a != TRUST]
    resume = [a.split("=", 1)[1] for a in arguments if a.startswith("resume=")]
    if resume and resume[-1] not in ("auto", "null"):
        chosen = {a.split("=")[0] for a in arguments} & {"data", "logger"}
        return before_overrides(
            arguments, started_with(RunFolder.open(unquoted(resume[-1]), "resume"), chosen, trusted)
        )
    chosen = any(a.split("=")[0] in _CHOICES and a != "sweep=null" for a in arguments)
    further = [] if chosen else ["experiment=quickstart"]
    if resume[-1:] == ["auto"]:
        further += _settled_before(arguments)
    return before_overrides(arguments, further) if further else arguments


def _of_compare(argument: str) -> str:
    """Hydra takes `metrics` and `ablation` for groups, so that `values=` and `ablations=` stand in."""
    for typed, meant in (("metrics=", "values="), ("ablation=", "ablations=")):
        if argument.startswith(typed):
            return meant + argument.removeprefix(typed)
    return argument


def of_reproduce(argument: str) -> str:
    """Hydra takes `ablation` for a group and patterns for a sweep, so that `ablations='...'` stands in."""
    if argument == "--status":
        return "status=true"
    if argument.startswith("ablation="):
        return f"ablations={quoted(Path(unquoted(argument.removeprefix('ablation='))))}"
    return _with_texts(argument)


def _with_texts(argument: str) -> str:
    """`train=[...]` holds overrides, which are texts of Hydra's own list."""
    if argument.startswith("train=[") and argument.endswith("]"):
        return f"train=[{','.join(_as_text(each) for each in parts_of(argument[7:-1]))}]"
    return argument


def _as_text(override: str) -> str:
    """An override as a quoted text for Hydra's own list."""
    return override if override[0] in "'\"" else "'" + override.replace("'", r"\'") + "'"


_STAND_INS = {"compare": _of_compare, "reproduce": of_reproduce, "import": _with_texts}


def _continued_sweep(arguments: list[str]) -> list[str]:
    """The command of a sweep with what tells its launcher to continue it.

    The command is the one that is typed now, or, where nothing is typed beside Hydra's own keys, the recorded one.
    """
    from genexp.pool.record import read_record

    given = [a.removeprefix(_RESUME_SWEEP) for a in arguments if a.startswith(_RESUME_SWEEP)][-1]
    typed = [a for a in arguments if not a.startswith(_RESUME_SWEEP) and a != TRUST]
    folder = Path(unquoted(given)).expanduser().resolve()
    record = read_record(folder)
    recorded, trusted = record["command"], TRUST in arguments
    kept = with_new_storage(recorded, typed)
    if any("=" in a and not a.startswith(("-", "hydra.", "hydra/")) for a in typed):
        command = overrides_of("train", typed)
    else:
        require_no_password(kept)
        if not is_ours(record.get("signature"), "sweep", record["id"], recorded):
            if not trusted:
                raise ValueError(
                    f"sweep.resume must name a sweep of this user, got {folder}, whose sweep.json would run: train "
                    f"{' '.join(kept)}; type that command after sweep.resume, or add {TRUST}"
                )
            require_harmless_command(kept, folder)
            print(f"trusted     what sweep.json runs: train {' '.join(kept)}", file=sys.stderr)
        command = [*kept, *(a for a in typed if a not in kept)]
    flags = [] if {"-m", "--multirun"} & set(command) else ["-m"]
    further = ["hydra.launcher.trust=true"] if trusted else []  # for runs that other users have begun there
    return [*flags, *command, f"hydra.sweep.dir={quoted(folder)}", "hydra.launcher.resume=true", *further]


def _searching(arguments: list[str]) -> list[str]:
    """`sweep=<question>` alone asks it with Optuna."""
    asked = [] if any(a.startswith("hydra/sweeper=") for a in arguments) else ["hydra/sweeper=optuna"]
    several = [] if {"-m", "--multirun"} & set(arguments) else ["hydra.mode=MULTIRUN"]
    return before_overrides(arguments, [*asked, *several])


def before_overrides(arguments: list[str], further: list[str]) -> list[str]:
    """`arguments` with `further` overrides ahead of the others; the parser wants all overrides side by side."""
    place = next((i for i, a in enumerate(arguments) if "=" in a and not a.startswith("-")), 0)
    return [*arguments[:place], *further, *arguments[place:]]


def _settled_before(arguments: list[str]) -> list[str]:
    """What the machine settled that the run in `run_dir` began on, if there is one: another may continue it."""
    named = [unquoted(a.split("=", 1)[1]) for a in arguments if a.startswith("run_dir=")]
    path = Path(named[-1]).expanduser() / CONFIG if named else None
    return [f"trainer.precision={load_recorded(path).trainer.precision}"] if path is not None and is_there(path) else []


def started_with(folder: RunFolder, chosen: Collection[str] = (), trusted: bool = False) -> list[str]:
    """The overrides of a run, and what was settled for it by the machine and the folder that it started on.

    The places that a run of another user names are not taken: data and outputs are then those of this user.

    Args:
        folder: The run.
        chosen: Which of `data` and `logger` is chosen anew: settings of the loggers before do not fit others.
        trusted: Whether the user has said so.
    """
    require_readable(folder.path)
    saved = load_recorded(folder.config_path)
    typed = [a for a in _typed_for(folder) if not a.startswith(("resume=", "run_dir="))]
    if "logger" in chosen:
        typed = [a for a in typed if not a.lstrip("+~").startswith(("logger.", "logger="))]
    settled = [*typed, f"trainer.precision={saved.trainer.precision}"]
    if not wrote_run(folder.record, folder.path):
        require_harmless(settled, folder.path, trusted)
        return settled
    plain = OmegaConf.to_container(saved)
    places = [] if "data" in chosen else recorded_places(plain)
    outputs = str(saved.paths.outputs).replace("'", "\\'")
    return [*with_recorded_places(settled, plain), f"paths.outputs='{outputs}'", *places]


def _typed_for(folder: RunFolder) -> list[str]:
    """The overrides of a run as they were typed.

    Raises:
        DamagedRun: the file is damaged, or not the one that the run's record describes.
        ValueError: an override is of Hydra itself, which no run records: it could build anything.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    typed = folder.overrides
    try:
        found = OverridesParser.create().parse_overrides(typed)
    except OverrideParseException as error:
        raise ValueError(f"{OVERRIDES} must hold overrides, got {error.override} in {folder.path}") from error
    for parsed in found:
        names = (parsed.key_or_group, parsed.package or "")
        if any(name.replace("/", ".").split(".")[0] == "hydra" for name in names):
            raise ValueError(f"{OVERRIDES} must hold no override of Hydra, got {parsed.input_line} in {folder.path}")
    return typed
