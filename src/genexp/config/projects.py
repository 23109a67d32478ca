"""Projects of others beside genexp: installed packages that say so, whose conf/ and classes then take part.

A package does so by an entry point of the group `genexp.projects` that names it, which `genexp new` writes into its
`pyproject.toml`. What is installed runs its own code anyway, so its classes may be built; no run, no folder and no
configuration can add a package. Imports no torch, and no project.
"""

from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

GROUP = "genexp.projects"


@cache
def packages() -> tuple[str, ...]:
    """Names of the packages, each at the top level."""
    named = {each.value for each in entry_points(group=GROUP)}
    return tuple(sorted(name for name in named if name.isidentifier() and name != "genexp"))


@cache
def conf_dirs() -> tuple[Path, ...]:
    """The folders conf/ inside the packages that have one."""
    return tuple(place for places in _places().values() for place in places if place.is_dir())


def without_conf() -> list[str]:
    """What there is to say of packages whose conf/ is not there, so that their choices are not either."""
    absent = {name: places for name, places in _places().items() if not any(place.is_dir() for place in places)}
    return [
        f"the project {name} has no conf/ at {' or '.join(map(str, places))}"
        if places
        else f"the project {name} is installed, but its package is not there"
        for name, places in absent.items()
    ]


def _places() -> dict[str, list[Path]]:
    """Where the conf/ of every package lies, or should."""
    specs = {name: find_spec(name) for name in packages()}
    return {
        name: [Path(place) / "conf" for place in (spec.submodule_search_locations if spec else None) or ()]
        for name, spec in specs.items()
    }
