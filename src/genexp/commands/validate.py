"""genexp validate: every name in the configuration checked against the code, without building anything."""

import fnmatch
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from genexp.commands.beforehand import refused_beforehand, unread
from genexp.commands.typed_arguments import overrides_of
from genexp.config.check import problems_of
from genexp.config.compose import choice_files, conf_dir, initialised, own_choices
from genexp.config.composition_errors import options
from genexp.config.messages import told
from genexp.config.quoting import typed_texts
from genexp.sweeps.study.study_plan import wrong_question
from genexp.terminal import counted

PRIMARIES = ("train", "sample", "evaluate", "compare", "reproduce", "stylize", "restore", "play", "augment", "export")
PRIMARIES += ("import",)
GROUPS = ("data", "model", "sampler", "extractor", "metrics", "training", "callbacks/post_hoc", "callbacks/game")
GROUPS += ("logger", "trainer", "launcher", "debug", "initial", "adapters")
ADDED = {"model/style_term": ("model=style", "model.extra_terms.further")}
"""Groups of parts that no default names: a person adds them, under a name of their own."""
_SEVERAL = ("-m", "--multirun")
HELP = """usage: genexp validate [command] [experiment=glob(*)] [key=value ...]

without arguments   every primary configuration and every option of every group, one at a time
experiment=glob(P)  the experiments whose name matches P
other overrides     the configuration that they compose, of train or of the command named first, on this machine:
                    with its devices, files and folders, and against the run that it names; -m: every job of a sweep

A line reads  key: what its value must be, got what (set by the file or override)
"""


@dataclass(frozen=True)
class Composition:
    """A primary config with overrides, and its problems where they were looked for to choose them."""

    name: str
    overrides: list[str]
    known: list[str] | None = None

    def problems(self, here: bool = False) -> list[str]:
        """What is wrong with it; `here` asks what the command itself would refuse, of which nothing is known."""
        if here:
            return _as_begun(self.name, self.overrides)
        return _problems(self.name, self.overrides) if self.known is None else self.known


def main(arguments: list[str]) -> int:
    """Check configurations and print every problem.

    Returns:
        0 when all are valid, else 1.
    """
    if arguments and arguments[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    checked, wrong, here = 0, 0, bool(arguments) and _pattern(arguments) is None
    for each in _selected(arguments):
        checked += 1
        if problems := each.problems(here):
            wrong += 1
            print(f"genexp {' '.join([each.name, *each.overrides])}")
            print("\n".join(f"  {problem}" for problem in problems))
    print(
        f"{counted(checked, 'configuration')} checked, {wrong} with problems", file=sys.stderr if wrong else sys.stdout
    )
    return 1 if wrong else 0


def _problems(name: str, overrides: list[str]) -> list[str]:
    return problems_of(name, overrides, further=[wrong_question])


def _as_begun(name: str, typed: list[str]) -> list[str]:
    """What the command itself would refuse of what was typed; says what it leaves unread."""

    def beforehand(config: DictConfig) -> list[str]:
        lines = refused_beforehand(name, config)
        if not lines and (left := unread(name, config)):
            print(f"not read: {left}")
        return lines

    try:
        overrides = overrides_of(name, typed)
    except Exception as error:
        if (line := told(error)) is None:
            raise
        return [line]
    return problems_of(name, overrides, True, [wrong_question], beforehand)


def _pattern(arguments: list[str]) -> str | None:
    return next((a.split("=", 1)[1] for a in arguments if a.startswith("experiment=glob(")), None)


def _selected(arguments: list[str]) -> Iterator[Composition]:
    if (pattern := _pattern(arguments)) is not None:
        rest = [a for a in arguments if not a.startswith("experiment=")]
        wanted = pattern.removeprefix("glob(").removesuffix(")")
        for name in options("experiment"):
            if fnmatch.fnmatch(name, wanted):
                yield Composition("train", [f"experiment={name}", *rest])
        return
    if arguments:
        name, typed = (arguments[0], arguments[1:]) if arguments[0] in PRIMARIES else ("train", arguments)
        jobs = _jobs([each for each in typed if each not in _SEVERAL]) if set(typed) & set(_SEVERAL) else [typed]
        yield from (Composition(name, job) for job in jobs)
        return
    yield from every_composition()


def _jobs(typed: list[str]) -> Iterator[list[str]]:
    """The jobs of a sweep, each with its overrides."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    with initialised():
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        ways = [
            [f"{each.get_key_element()}={value}" for value in each.sweep_string_iterator()]
            if each.is_discrete_sweep()
            else [each.input_line]
            for each in parser.parse_overrides(typed_texts([_SEVERAL[0], *typed])[1:])
        ]
    yield from (list(job) for job in itertools.product(*ways))


def every_composition() -> Iterator[Composition]:
    """A set of compositions in which every YAML file of conf/ takes part at least once."""
    for name in PRIMARIES:
        if (conf_dir() / f"{name}.yaml").is_file():
            yield Composition(name, [])
    for group in GROUPS:
        for choice in own_choices(group):
            yield _fitting([[f"{group}={choice}", *others] for others in _others_for(group)])
    for experiment in options("experiment"):
        yield Composition("train", [f"experiment={experiment}"])
    yield from nested_choices()
    for group, (base, place) in ADDED.items():
        for choice in options(group):
            yield Composition("train", [base, f"+{group}@{place}={choice}"])
    for edit in options("edit"):
        yield Composition("sample", [f"edit={edit}"])
    for name in options("sweep"):
        yield from jobs_of_question(name)


def nested_choices() -> Iterator[Composition]:
    """For every YAML file of a model's parts, and of their own, a composition that chooses it in a model which it fits.

    Models may share a group without sharing its choices: a network that denoises does not classify. A choice that fits
    none alone is shown with what it fits, and one that fits nothing in the first model.
    """
    parts = _parts_of_models()
    for group in sorted({group for groups in parts.values() for group in groups}):
        bases = [base for base, groups in parts.items() if group in groups]
        for choice in own_choices(group):
            alone = {base: [*base, f"{parts[base][group]}={choice}"] for base in bases}
            together = [[*alone[base], each] for base in bases for each in _beside(parts[base], group)]
            yield _fitting([*alone.values(), *together])


def _parts_of_models() -> dict[tuple[str, ...], dict[str, str]]:
    """The groups of parts of every model, and those that only a choice of one brings, by what is typed for them."""
    found = {}
    for name in own_choices("model"):
        base = (f"model={name}",)
        groups = found[base] = part_groups(*base)
        for group, key in groups.items():
            for choice, path in choice_files(group).items() if group.startswith("model/") else ():
                if "/" not in choice and path.read_text().count("\ndefaults:"):
                    within = part_groups(*base, f"{key}={choice}")
                    found[(*base, f"{key}={choice}")] = {each: within[each] for each in within if each not in groups}
    return found


def _beside(parts: dict[str, str], group: str) -> Iterator[str]:
    """What a choice may need beside it: classes, no levels, one choice of another part, or data of another kind."""
    yield "model.num_classes=${data.num_classes}"
    if group == "model/density/dequantisation":
        yield "model.density.levels=null"
    for other, key in parts.items():
        if other.startswith("model/") and other != group:
            yield from (f"{key}={choice}" for choice in own_choices(other))
    yield from (f"data={name}" for name in own_choices("data"))


def jobs_of_question(name: str) -> Iterator[Composition]:
    """A question, and jobs in which each of its choices takes part."""
    from genexp.sweeps.question import read_question
    from genexp.sweeps.study.study_plan import make_plan

    yield Composition("train", ["hydra/sweeper=optuna", f"sweep={name}"])
    if not _problems("train", [f"sweep={name}"]):
        yield from (Composition("train", job) for job in make_plan(read_question(name), []).examples())


_POINTS = ["data=toy2d", "model/network=mlp"]


def _others_for(group: str) -> list[list[str]]:
    """Overrides to try a choice with: none; data and models that what measures or draws may want; MLPs; a run."""
    others = {"extractor": ("data",), "metrics": ("model", "data"), "sampler": ("model",)}
    if group in others:
        named = [f"{each}={name}" for each in others[group] for name in own_choices(each)]
        return [[], *([each] for each in named), _POINTS]
    beside = {"data": [_POINTS[1:]], "initial": [["experiment=ldm/shapes_captions"]]}
    beside["adapters"] = [["initial=run"], ["experiment=control_net/shapes"]]
    return [[], *beside.get(group, [])]


def _fitting(tried: list[list[str]]) -> Composition:
    """The first overrides without problems, or the first of all."""
    found = [Composition("train", tried[0])]
    for overrides in tried if len(tried) > 1 else ():
        found.append(Composition("train", overrides, _problems("train", overrides)))
        if not found[-1].known:
            return found[-1]
    return found[len(found) > 1]


def part_groups(*typed: str) -> dict[str, str]:
    """The groups below the primary config that take part with what is typed, and the override key of each."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    with initialised():
        loader = GlobalHydra.instance().config_loader()
        chosen = loader.compute_defaults_list(config_name="train", overrides=list(typed), run_mode=RunMode.RUN)
    found = {}
    for default in chosen.defaults:
        group = str(Path(default.config_path or "").parent)
        package = default.package or ""
        of_the_model = package == "model" and group.startswith("model/")  # sets more than the part of its name
        if group == "." or group.startswith("hydra") or not ("." in package or of_the_model):
            continue
        plain = of_the_model or package == group.replace("/", ".")
        found[group] = default.override_key or (group if plain else f"{group}@{package}")
    return found
