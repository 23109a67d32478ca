"""One composition checked as a whole: whether it composes, and fits the code. Imports no torch by itself."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from genexp.config.compose import compose, initialised
from genexp.config.composition_errors import conflict, is_of_null_group, refusal
from genexp.config.keys import as_typed
from genexp.config.origins import Origins
from genexp.config.validation import find_problems

Further = Callable[[DictConfig], str | None]
"""A check of a composed configuration: what is wrong with it, or None."""


def problems_of(
    name: str,
    overrides: list[str],
    here: bool = False,
    further: Iterable[Further] = (),
    last: Callable[[DictConfig], list[str]] = lambda config: [],
) -> list[str]:
    """What is wrong with one composition, composition errors included.

    Args:
        name: The primary configuration.
        overrides: What was typed.
        here: Whether it will run on this machine, with its devices, files and folders.
        further: Other checks of the composed configuration, which go first.
        last: What is asked where nothing else is wrong; gives lines.
    """
    from hydra.errors import HydraException

    with initialised():
        try:
            config = compose(name, overrides)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            if isinstance(error, ValueError) and not is_of_null_group(error):
                return [str(error)]
            return refusals(error, overrides, lambda rest: problems_of(name, rest, here, further, last))
        if wrong := [line for check in further if (line := check(config)) is not None]:
            return wrong
        problems = find_problems(config, name, Origins(overrides=overrides), here)
        origins = Origins.of_composition(name, overrides) if problems else Origins()
        problems = [replace(each, origin=origins.of(each.key)) for each in problems]
        other = conflict(problems, overrides)
        return [str(problem) for problem in ([other] if other else problems)] or last(config)


def refusals(error: Exception, overrides: list[str], ask: Callable[[list[str]], list[str]]) -> list[str]:
    """What is wrong with overrides that do not compose; after a key that does not exist also all the rest.

    Args:
        error: What Hydra raised while it composed.
        overrides: The overrides it was given.
        ask: What is wrong with other overrides: those but for the one whose key does not exist.
    """
    rest = _without_unknown_key(error, overrides)
    return [refusal(error, overrides), *(ask(rest) if rest else [])]  # what nobody typed is as it ships


def _without_unknown_key(error: Exception, overrides: Sequence[str]) -> list[str] | None:
    """None where no key that was typed is the reason, or the words are not overrides alone."""
    cause = error.__cause__
    if not isinstance(cause, ConfigAttributeError | ConfigKeyError) or any(each.startswith("-") for each in overrides):
        return None
    key = str(cause.full_key)
    rest = [each for each in overrides if not f"{as_typed(each).partition('=')[0]}.".startswith(f"{key}.")]
    return rest if len(rest) < len(overrides) else None


def composed_of(key: str, overrides: list[str], typed: list[str]) -> DictConfig:
    """The configuration of `genexp train` by overrides some of which were typed as a list, with Hydra's own section.

    Args:
        key: The key of the list, for the error.
        overrides: All overrides.
        typed: Those of the list.

    Raises:
        ValueError: one names what there is not.
    """
    from hydra.errors import HydraException

    try:
        return compose("train", overrides, with_hydra=True)
    except HydraException as error:
        raise ValueError(f"{key} must hold overrides of genexp train: {refusal(error, typed)}") from error
