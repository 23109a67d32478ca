"""Why a command line does not compose, in one line: Hydra's errors with the nearest right word. Imports no torch."""

import re
from collections.abc import Sequence

from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, ConfigTypeError

from genexp.config.compose import choice_files, group_names, may_be_empty, own_choices
from genexp.config.defaults_lists import choices_of, named_by, shown_file
from genexp.config.field_words import meant_choice
from genexp.config.fields import SECTIONS
from genexp.config.hints import hint_of_absent
from genexp.config.keys import as_typed
from genexp.config.nearest import SURE, group_of, key_hint
from genexp.config.problems import Problem, did_you_mean
from genexp.config.projects import without_conf
from genexp.config.renamed import new_name
from genexp.terminal import nearest

_IN_FOLDERS = ("experiment",)
"""Groups whose choices may lie in folders; the folders of other groups hold choices of parts."""

_MANY = 40
"""More choices than these are not listed whole; `genexp info` lists them."""


def refusal(error: Exception, overrides: list[str]) -> str:
    """One line that says what is wrong with the overrides and, where it can be told, what was meant.

    Args:
        error: What Hydra raised while it composed.
        overrides: The overrides it was given.
    """
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, OverrideParseException) and "=" not in error.override:
        return f"an override must read key=value or group=choice, got {as_typed(error.override)!r}"
    if isinstance(error, OverrideParseException):
        key, _, value = as_typed(error.override).partition("=")
        return f"{key}: cannot be read, got {value}; a list is written [a,b], and text with = or brackets in it '...'"
    overrides = [as_typed(each) for each in overrides]
    for each in overrides:
        key = each.lstrip("+~").split("=")[0]
        if name := new_name(key):
            return str(Problem(key, f"is called {name} now"))
        if problem := _of_trainings(each, overrides):
            return str(problem)
    cause = error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        return str(_unknown_key(cause, overrides))
    if isinstance(cause, ConfigTypeError) and "DictConfig with ListConfig" in str(cause):
        values = [value for key, _, value in (each.partition("=") for each in overrides) if key == cause.full_key]
        return str(
            Problem(
                str(cause.full_key), f"must be a mapping of names to values, got {values[-1] if values else 'a list'}"
            )
        )
    if isinstance(error, MissingConfigException):
        problem = _unknown_choice(error, overrides)
        if problem is not None:
            return str(problem)
    if is_of_null_group(error):
        typed = [each.partition("=")[0].lstrip("+") for each in overrides if each.endswith("=null")]
        group = next((each for each in typed if each.split("@")[0] in group_names()), typed[0] if typed else "a group")
        known = own_choices(group.split("@")[0])
        none = f" (~{group} chooses none)" if may_be_empty(group) else ""
        return str(Problem(group, f"must be one of {', '.join(known)}, got null{none}"))
    unused = re.search(r"Could not override '([^']+)'\.", str(error))
    if unused:
        return str(_unused_group(str(error), unused[1], overrides))
    return " ".join(": ".join(str(each) for each in (error, cause) if each is not None and str(each)).split())


def _of_trainings(typed: str, overrides: Sequence[str]) -> Problem | None:
    """What is said of a setting of trainings that was given to the ablation whose trainings they are."""
    key = typed.lstrip("+~").split("=")[0]
    head = re.split(r"[./@]", key)[0]
    of_training = (head in SECTIONS or head in group_names()) and head not in ("paths", "hydra", "ablation")
    asked = any(each.startswith(("ablation=", "ablations=")) for each in overrides)
    return Problem(key, f"is of the trainings, type train=[{typed}]") if of_training and asked else None


def is_of_null_group(error: Exception) -> bool:
    """Whether Hydra was given null for a group that must have a choice; it tells that as any wrong value."""
    return isinstance(error, ValueError) and str(error).startswith("Config group override must be")


def options(group: str) -> list[str]:
    """The choices of a group, nested ones as `folder/name`; what begins with _ is what several of them share."""
    return list(choice_files(group))


def _unknown_key(cause: ConfigAttributeError | ConfigKeyError, overrides: list[str]) -> Problem:
    key, parent = str(cause.full_key), cause.parent_node
    above = key.rpartition(".")[0]
    typed = next((each for each in overrides if f"{each.split('=')[0]}.".startswith(f"{key}.")), f"{key}=value")
    if "/" in key:
        choice = typed.partition("=")[2]
        group = group_of(key.replace("/", "."), choice)
        hint = f"; did you mean {group}={choice}?" if group else did_you_mean(key, group_names())
        return Problem(key, f"is not a group{hint}")
    siblings = [str(name) for name in parent or () if name not in ("hydra", "_target_", "_partial_")]
    if above and not siblings:
        return Problem(key, f"does not exist, {above} has no keys{hint_of_absent(key)}")
    where = f" in {above}" if above else ""
    if told := hint_of_absent(key):
        return Problem(key, f"does not exist{where}{told}")
    hint = key_hint(typed, key, siblings, parent._get_root())
    word = key.rpartition(".")[2]
    slip = nearest(word, siblings, SURE) is not None  # for which no class is imported
    adds = f" (+{typed} adds a new key)" if not slip and _takes_more(parent, above, word) else ""
    return Problem(key, f"does not exist{where}{hint}{adds}")


def _takes_more(parent: DictConfig, above: str, word: str) -> bool:
    """Whether a key may be added: of a part whose class takes it, or of a mapping that says of none what it may be.

    What a class takes is asked of the class, for which it is imported.
    """
    if not above or above in SECTIONS or above.startswith("hydra"):
        return False
    target = parent._get_node("_target_", validate_access=False)
    if target is None:
        return True
    from genexp.config.signatures import parameters_of
    from genexp.config.targets import locate, require_allowed

    try:
        require_allowed(str(target), above)
        parameters = parameters_of(locate(str(target)))
    except ValueError:
        return False
    return parameters is None or word in parameters.annotations


def _unused_group(message: str, group: str, overrides: list[str]) -> Problem:
    """A group that this configuration does not have, or has under a longer name."""
    inside = re.match(r"In 'experiment/([^']+)'", message)
    experiment = _experiment(overrides)
    if inside and experiment and (other := of_another(experiment, overrides, f"which has no {group}")):
        return other
    typed = next((each for each in overrides if each.lstrip("+").split("=")[0] == group), f"{group}=choice")
    meant = re.search(r"Did you mean to override (?:one of )?([^?]+)\?", message)
    if meant:
        names = [f"{each}={typed.partition('=')[2]}" for each in meant[1].split(", ")]
        return Problem(group, f"is not chosen by this name alone; did you mean {' or '.join(names)}?")
    model = next((each for each in reversed(overrides) if each.startswith("model=")), None)
    of = f"{model} has none" if model and group.startswith("model/") else "this command, or its model, has none"
    return Problem(group, f"does not exist here: {of}", shown_file(f"experiment/{inside[1]}") if inside else None)


def of_another(experiment: str, overrides: Sequence[str], which: str) -> Problem | None:
    """Why an experiment does not go with a choice that was typed beside it; None where no other choice was typed.

    Args:
        experiment: Its name.
        overrides: As they were typed.
        which: What shows it, as `which has no model/schedule`.
    """
    typed = dict(each.lstrip("+").split("=", 1) for each in overrides if "=" in each)
    for group, choice in choices_of(experiment).items():
        if group in typed and typed[group] not in (choice, f"'{choice}'"):
            other = f"{group}={typed[group]}"
            return Problem(
                "experiment", f"{experiment} is of {group}={choice}, got {other}, {which}; leave one of them out"
            )
    return None


def _experiment(overrides: Sequence[str]) -> str | None:
    return next((each.partition("=")[2] for each in overrides if each.startswith("experiment=")), None)


def conflict(problems: Sequence[Problem], overrides: Sequence[str]) -> Problem | None:
    """One line for what an experiment sets and a choice typed beside it does not have.

    Args:
        problems: What is wrong with the configuration, with origins.
        overrides: As they were typed.
    """
    experiment = _experiment(overrides)
    file = f"conf/experiment/{experiment}.yaml"
    own = [each for each in problems if each.origin == file and each.message.startswith("is not an argument")]
    if not own:
        return None
    return of_another(experiment, overrides, f"for which {own[0].key} means nothing") or _of_part(own, overrides)


def _of_part(own: Sequence[Problem], overrides: Sequence[str]) -> Problem | None:
    """A setting that an experiment has for one choice of a part, beside another choice that was typed."""
    typed = dict(each.lstrip("+").split("=", 1) for each in overrides if "=" in each)
    for key in (each.key for each in own):
        place, _, name = key.rpartition(".")
        if choice := typed.get(place.replace(".", "/")):
            told = f"has no {name}, which experiment={_experiment(overrides)} sets: type ~{key} too"
            return Problem(place, f"{choice} {told}")
    return None


def _unknown_choice(error: Exception, overrides: list[str]) -> Problem | None:
    """The choice that has no file, typed or asked for by a file; None where it is not known by which."""
    missing = str(error.missing_cfg_file)
    group, origin = _asked(missing, str(error), overrides)
    if group is None:
        return None
    word = missing.removeprefix(f"{group}/")
    found = (options if group in _IN_FOLDERS else own_choices)(group)
    known = sorted({*found, *(each for each in error.options or () if each[0] != "_")})
    meant = meant_choice(group, word, found)
    suggestion = did_you_mean(word, known)
    hint = suggestion if "did you mean" in suggestion else ""
    if meant is not None:
        hint = f"; did you mean {f'{group}={meant.name} {meant.beside}' if meant.beside else meant.name}?"
    hint += "".join(f"; {line}" for line in without_conf())
    return Problem(group, f"must be one of {_listed(known, word)}, got {word!r}{hint}", origin)


def _asked(missing: str, message: str, overrides: Sequence[str]) -> tuple[str | None, str | None]:
    """The group of a choice that has no file, and the file that asks for it; None for one that is typed."""
    inside = re.match(r"In '([^']+/[^']+)'", message)
    if inside is not None:  # the defaults of a choice
        group = next((each for each in _IN_FOLDERS if missing.startswith(f"{each}/")), missing.rpartition("/")[0])
        return group, shown_file(inside[1])
    typed = {each.lstrip("+").split("=")[0].split("@")[0] for each in overrides if "=" in each}
    if groups := [group for group in typed if missing.startswith(f"{group}/")]:
        return max(groups, key=len), None
    named = named_by(_experiment(overrides) or "")
    return next(((group, file) for file, group, name in named if f"{group}/{name}" == missing), (None, None))


def _listed(known: list[str], word: str) -> str:
    """All names; of very many those in the folder of what was typed, and where the others are listed."""
    if len(known) <= _MANY:
        return ", ".join(known)
    beside = [name for name in known if "/" in name and name.startswith(f"{word.split('/')[0]}/")]
    return (
        f"{', '.join(beside)}, or of {len(known) - len(beside)} others"
        if beside
        else f"the {len(known)} that genexp info lists"
    )
