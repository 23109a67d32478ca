"""The sampler of a command: the run's own, changed or replaced, and its name in a file's path. Imports no torch."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from omegaconf import DictConfig, OmegaConf

from genexp.config.guidance_strengths import guided_twice, strengths_of
from genexp.config.keys import flat
from genexp.config.signatures import parameters_of
from genexp.config.targets import locate, require_allowed
from genexp.config.trained_parts import with_trained_parts
from genexp.files.trees import Tree
from genexp.runs.places import with_absolute_places


def sampler_node(trained: DictConfig, given: DictConfig | None) -> DictConfig:
    """The sampler to use: the one given, or the run's own with the given values changed and parts replaced."""
    own = OmegaConf.create(OmegaConf.to_container(trained.sampler, resolve=True))
    if given is None:
        return own
    if "_target_" in given:
        return given
    replaced = {key for key, value in given.items() if OmegaConf.is_dict(value) and "_target_" in value}
    return OmegaConf.merge(OmegaConf.masked_copy(own, [key for key in own if key not in replaced]), given)


def checked_sampler(trained: DictConfig, given: DictConfig | None, command: str) -> DictConfig:
    """The sampler to use, as `sampler_node` gives it, with every value checked and the place of a guide absolute.

    Args:
        trained: Configuration of the run.
        given: What the command says of the sampler, or None.
        command: Name of the command.

    Raises:
        InvalidConfig: a key or a value is wrong.
        ValueError: the command leaves a negative no share in the images, or guides a student that has guidance inside.
    """
    from genexp.config.validation import require_valid

    node = sampler_node(trained, given)
    plain = with_absolute_places({"sampler": OmegaConf.to_container(node, resolve=True)})
    require_valid(OmegaConf.create(plain), command)
    if given is not None:
        _require_share(plain["sampler"].get("guidance"))
        _require_once(trained, plain["sampler"])
    return OmegaConf.create(with_trained_parts(plain["sampler"]))


def _require_share(guidance: Tree | None) -> None:
    """Raise ValueError where a guidance, or one inside it, has a negative and a strength at which that has no share."""
    for key, at, node, strengths in strengths_of(guidance, "sampler.guidance"):
        if node.get("negative") and all(each == 1 for each in strengths):
            said = f"has no share in an image where {at} is 1: choose another strength"
            raise ValueError(f"{key}.negative.{next(iter(node['negative']))} {said}")


def _require_once(trained: DictConfig, sampler: Tree) -> None:
    """Raise ValueError where the sampler guides a student that has guidance inside."""
    model = OmegaConf.to_container(trained.model, resolve=False) if "model" in trained else None
    if wrong := guided_twice(model, sampler.get("guidance")):
        raise ValueError(": ".join(wrong))


def varied(trained: DictConfig, node: DictConfig, asked: DictConfig) -> dict[str, DictConfig]:
    """A sampler in several ways: a configuration for every place of the lists of values, by words that name these.

    Args:
        trained: Configuration of the run.
        node: The checked configuration of the sampler.
        asked: Below the sampler's own keys, lists of values; several lists go side by side.

    Raises:
        ValueError: a value is no list, lists differ in length, or the sampler takes no such key or value.
    """
    lists = flat(OmegaConf.to_container(asked, resolve=True))
    for key, values in lists.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"sheet.{key}: must be a list of values, a row each, got {values}")
    lengths = {len(values) for values in lists.values()}
    if len(lengths) > 1:
        told = ", ".join(f"{len(values)} of {key}" for key, values in lists.items())
        raise ValueError(f"sheet: lists must be equally long, as a row takes one value of each, got {told}")
    ways = {}
    for row in zip(*lists.values(), strict=True):
        words = ", ".join(f"{key.rpartition('.')[2]} {_word(value)}" for key, value in zip(lists, row, strict=True))
        changed = node.copy()
        for key, value in zip(lists, row, strict=True):
            OmegaConf.update(changed, key, value, force_add=True)
        with told_of(words):
            ways[words] = checked_sampler(OmegaConf.create({"sampler": changed}), None, "sample")
            _require_once(trained, OmegaConf.to_container(changed, resolve=True))
    return ways


@contextmanager
def told_of(words: str) -> Iterator[None]:
    """Within, an error says which row of a sheet it is of."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"sheet, {words}: {error}") from error


def _word(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def sampler_label(node: DictConfig) -> str:
    """A sampler in a file's name: class, steps, then all that differs from the defaults of the class.

    `ddim25`, `ddim25_eta0.5_guidance-classifierfree_scale3`, `ddpm100_variance-fixed_large`. Different samplers have
    different labels: of a setting that is no number, no short word and no part the name alone is readable, and six
    digits of a digest stand for such values and for a class of another package.

    Args:
        node: Configuration of the sampler.

    Raises:
        ValueError: `_target_` may not be built, or does not exist.
    """
    return _label(OmegaConf.to_container(node, resolve=True))


def _label(given: Tree) -> str:
    target = str(given.pop("_target_"))
    defaults = _defaults(target)
    steps = {**defaults, **given}.get("steps")
    counted = isinstance(steps, int)
    parts = [f"{target.rpartition('.')[2].lower()}{steps if counted else ''}"]
    untold = {} if target.startswith("genexp.") else {"_target_": target}
    for key in sorted(given):
        value = given[key]
        if (key == "steps" and (counted or value is None)) or (key in defaults and _is_default(value, defaults[key])):
            continue
        text = _text(value)
        parts.append(f"{key}{text or ''}")
        if text is None:
            untold[key] = value
    if sum(map(len, parts)) > _LONGEST:
        parts, untold = parts[:1], {"_target_": target, **given}
    return "_".join([*parts, *([_digest(untold)] if untold else [])])


def _is_default(value: object, default: object) -> bool:
    """Whether a value is the default of an argument, or the description of the part that is."""
    if not isinstance(value, dict) or "_target_" not in value:
        return value == default
    kind, settings = type(default), {key: each for key, each in value.items() if key != "_target_"}
    same = value["_target_"] == f"{kind.__module__}.{kind.__qualname__}"
    return same and all(_is_default(each, vars(default).get(key)) for key, each in settings.items())


_LONGEST = 100
_WORD = re.compile(r"(?!(?:null|true|false)$)[A-Za-z]\w{0,23}", re.ASCII)


def _defaults(target: str) -> Tree:
    require_allowed(target, "sampler")
    parameters = parameters_of(locate(target))
    return {} if parameters is None else parameters.defaults


def _text(value: object) -> str | None:
    """A value behind its setting's name; None where it cannot be read in a file's name."""
    if value is None or isinstance(value, bool):
        return "-null" if value is None else f"-{str(value).lower()}"
    if isinstance(value, int | float):
        return repr(int(value) if float(value).is_integer() and abs(value) < 1e9 else value)
    if isinstance(value, dict) and "_target_" in value:
        return f"-{_label(dict(value))}"
    return f"-{value}" if isinstance(value, str) and _WORD.fullmatch(value) else None


def _digest(content: Tree) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:6]
