"""Why a command line does not compose, in one line: Hydra's errors with the nearest right word. Imports no torch."""

from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from genexp.runs.config import conf_dir
from genexp.runs.problems import Problem, did_you_mean

_IN_FOLDERS = ("experiment",)
"""Groups whose choices may lie in folders; the folders of other groups hold choices of parts."""


def refusal(error: Exception, overrides: list[str]) -> str:
    """One line that says what is wrong with the overrides and, where it can be told, what was meant.

    Args:
        error: What Hydra raised while it composed.
        overrides: The overrides it was given.
    """
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, OverrideParseException) and "=" not in error.override:
        return f"an override must read key=value or group=choice, got {error.override!r}"
    cause = error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        return str(_unknown_key(cause, overrides))
    if isinstance(error, MissingConfigException):
        problem = _unknown_choice(error, overrides)
        if problem is not None:
            return str(problem)
    return " ".join(": ".join(str(each) for each in (error, cause) if each is not None and str(each)).split())


def options(group: str) -> list[str]:
    """The choices of a group, nested ones as `folder/name`."""
    root = conf_dir() / group
    return sorted(str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.yaml"))


def _unknown_key(cause: ConfigAttributeError | ConfigKeyError, overrides: list[str]) -> Problem:
    key, parent = str(cause.full_key), cause.parent_node
    if "/" in key:
        return Problem(key, f"is not a group{did_you_mean(key, _groups())}")
    above, _, word = key.rpartition(".")
    typed = next((each for each in overrides if f"{each.split('=')[0]}.".startswith(f"{key}.")), f"{key}=value")
    siblings = [str(name) for name in parent or () if name not in ("hydra", "_target_")]
    if above and not siblings:
        return Problem(key, f"does not exist, {above} has no keys")
    where = f" in {above}" if above else ""
    return Problem(key, f"does not exist{where}{did_you_mean(word, siblings)} (+{typed} adds a new key)")


def _unknown_choice(error: Exception, overrides: list[str]) -> Problem | None:
    """The typed choice that has no file; None when a file asks for the missing one."""
    missing = str(error.missing_cfg_file)
    typed = {each.lstrip("+").split("=")[0].split("@")[0] for each in overrides if "=" in each}
    groups = [group for group in typed if missing.startswith(f"{group}/")]
    if not groups:
        return None
    group = max(groups, key=len)
    word = missing.removeprefix(f"{group}/")
    found = [each for each in options(group) if "/" not in each or group in _IN_FOLDERS]
    known = sorted({*found, *(error.options or ())})
    suggestion = did_you_mean(word, known)
    hint = suggestion if "did you mean" in suggestion else ""
    return Problem(group, f"must be one of {', '.join(known)}, got {word!r}{hint}")


def _groups() -> list[str]:
    root = conf_dir()
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir())
