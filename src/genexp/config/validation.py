"""Check a configuration before anything is made of it: names, values, what fits together, and what is there.

Keys that need no signature come first, without torch. Where these are wrong and nothing else was typed, no more is
looked at: shipped configurations are sound.
"""

import sys
from collections.abc import Iterable, Iterator
from functools import cache

from omegaconf import DictConfig, OmegaConf, open_dict

from genexp.config.approval import lacking_approval
from genexp.config.arguments import READ_OF_TRAINER, TRAINER
from genexp.config.compose import conf_dir, may_be_empty
from genexp.config.devices import device_problems
from genexp.config.fields import COMMANDS, GROUPS, SECTIONS, SETTINGS, refusal_of
from genexp.config.interpolations import MISSING, UNKNOWN, carried_out, missing, source_of, sources_below
from genexp.config.keys import flat
from genexp.config.nearest import of_the_field
from genexp.config.nodes import node_problems
from genexp.config.origins import Origins
from genexp.config.problems import InvalidConfig, Problem, did_you_mean
from genexp.config.rules import Rule
from genexp.files.trees import Tree


def require_valid(config: DictConfig, name: str = "train", origins: Origins | None = None) -> None:
    """Raise `InvalidConfig` when `find_problems` finds any."""
    problems = find_problems(config, name, origins)
    if problems:
        raise InvalidConfig(problems)


def require_options(config: DictConfig, name: str) -> None:
    """Raise `InvalidConfig` where a key of a command's own holds a wrong value; groups are left for later.

    For commands that fill in what their groups take from a run. Imports no torch unless a GPU is asked for.
    """
    own = OmegaConf.masked_copy(config, [key for key in config if key in COMMANDS[name]])
    plain, problems = carried_out(config)
    kept = {key: plain[key] for key in own}
    problems = [each for each in problems if each.key in COMMANDS[name] or each.key.startswith("paths.")]
    problems += [
        *_top_level({key: value for key, value in plain.items() if key != "hydra"}, name),
        *_values(kept, name),
    ]
    problems += [*_sections({"paths": plain.get("paths")}), *_missing(kept)]
    problems += [] if problems else device_problems(kept)
    if problems:
        raise InvalidConfig(_with_origins(_once(config, problems), None))


def require_settings(settings: Tree, where: str) -> None:
    """Raise `InvalidConfig` where Hydra hands wrong values to a launcher or sweeper of ours.

    Args:
        settings: What it was given.
        where: Its key, as in `hydra.launcher`.
    """
    plain = {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in settings.items()
    }
    if problems := list(_against(plain, SETTINGS[where], f"{where}.")):
        raise InvalidConfig(problems)


def find_problems(
    config: DictConfig, name: str = "train", origins: Origins | None = None, here: bool = True
) -> list[Problem]:
    """Everything that is wrong with a composed configuration, each fault once, at the key that set it.

    Unknown keys, missing arguments, values of a wrong type or range, broken interpolations, unreachable targets, parts
    that do not fit each other; files, folders and devices that are not there.

    Args:
        config: The composed configuration.
        name: Its primary config, which says what top-level keys exist.
        origins: Knows which file set a key; by default asked from the running Hydra.
        here: Whether it will run on this machine, with its files and devices.
    """
    if "hydra" in config:
        config = config.copy()
        with open_dict(config):
            config.pop("hydra")
    if gone := list(_taken_away(name, _typed() if origins is None else origins.overrides)):
        return gone
    plain, problems = carried_out(config)
    problems += [*_top_level(plain, name), *_sections(plain), *_values(plain, name), *(_missing(plain) if here else ())]
    if here and not any(each.key.startswith(("trainer", "device")) for each in problems):
        problems += device_problems(plain)
    if here and name == "train":
        problems += lacking_approval(plain)
    problems = _once(config, problems)
    if not problems or _is_more_typed(problems, origins):
        problems = _once(config, [*problems, *node_problems(plain, {each.key for each in problems}, here)])
    return _with_origins(problems, origins)


def _taken_away(name: str, typed: list[str] | None) -> Iterator[Problem]:
    """What `~key` may not delete: what the tables of rules give no null for, and what other keys are made from."""
    needed = {key for key, rule in COMMANDS[name].items() if not rule.accepts(None)}
    if name == "train":
        needed |= {*GROUPS, *(f"{section}.{key}" for section, rules in SECTIONS.items() for key in rules)}
        needed |= {f"trainer.{key}" for key in READ_OF_TRAINER}
    for each in typed or []:
        key = each.removeprefix("~").split("=")[0]
        if each.startswith("~") and key in needed and not may_be_empty(key):
            yield Problem(key, f"must be set, and {each} takes it away", "the command line")


def _with_origins(problems: list[Problem], origins: Origins | None) -> list[Problem]:
    if not problems:
        return []
    origins = origins or Origins.of_running_hydra()  # composes the configuration once more
    return [Problem(p.key, p.message, p.origin or origins.of(p.key)) for p in problems]


def _is_more_typed(problems: list[Problem], origins: Origins | None) -> bool:
    """Whether something was typed that the problems do not explain; then the rest is looked at too, with torch."""
    typed = _typed() if origins is None else origins.overrides
    if typed is None or "torch" in sys.modules:
        return True
    keys = [each.lstrip("+~").split("=")[0] for each in typed if each != "experiment=quickstart"]
    known = {each.key for each in problems} | {key for rules in COMMANDS.values() for key in rules}
    return any(key not in known and not key.startswith("hydra") for key in keys)


def _typed() -> list[str] | None:
    from hydra.core.hydra_config import HydraConfig

    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else None


def _once(config: DictConfig, problems: Iterable[Problem]) -> list[Problem]:
    """Problems at the keys that set the values, one for each; those of values that others make up are left out."""
    found: dict[str, Problem] = {}
    sources = [(source_of(config, each.key) if each.of_value else each.key, each) for each in problems]
    for key, each in sorted(sources, key=lambda pair: pair[0] != pair[1].key):
        taker = "" if key == each.key or each.key.startswith("callbacks.") else f" ({each.key} takes it)"
        found.setdefault(key, Problem(key, f"{each.message}{taker}", each.origin))
    return [each for key, each in found.items() if not (sources_below(config, key) - {key}) & found.keys()]


def _top_level(plain: Tree, name: str) -> Iterator[Problem]:
    known = declared_keys(name)
    for key in plain:
        if key not in known:
            told = of_the_field(str(key), str(plain[key]), flat(plain)) or did_you_mean(str(key), known)
            yield Problem(str(key), f"is not a key of {name}{told}")


@cache
def declared_keys(name: str) -> frozenset[str]:
    """The top-level keys of a primary config: its own and its groups."""
    primary = OmegaConf.load(conf_dir() / f"{name}.yaml")
    groups = set()
    for entry in primary.get("defaults", []):
        if OmegaConf.is_dict(entry):
            groups |= {str(key).split("@")[-1].split("/")[-1] for key in entry if not str(key).startswith("override ")}
    return frozenset({str(key) for key in primary} - {"defaults", "hydra"} | groups - {"experiment", "debug"})


def _sections(plain: Tree) -> Iterator[Problem]:
    for section, rules in SECTIONS.items():
        if isinstance(plain.get(section), dict):
            for key in plain[section]:
                if key not in rules:
                    yield Problem(f"{section}.{key}", f"is not a key of {section}{did_you_mean(str(key), rules)}")
            yield from _against(plain[section], rules, f"{section}.")
    if isinstance(trainer := plain.get("trainer"), dict):
        yield from _against(trainer, TRAINER, "trainer.")


def _values(plain: Tree, name: str) -> Iterator[Problem]:
    yield from _against(plain, COMMANDS[name], "")
    if name in ("train", "stylize"):
        yield from _against(plain, GROUPS, "")


def _against(plain: Tree, rules: dict[str, Rule], above: str) -> Iterator[Problem]:
    for key, rule in rules.items():
        if key in plain and plain[key] not in (MISSING, UNKNOWN) and not rule.accepts(plain[key]):
            yield refusal_of(f"{above}{key}", rule, plain[key])


def _missing(plain: Tree) -> Iterator[Problem]:
    yield from (Problem(key, "must be given", of_value=True) for key in missing(plain))
