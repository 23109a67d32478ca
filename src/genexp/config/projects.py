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
    found = []
    for name in packages():
        spec = find_spec(name)
        places = [] if spec is None else spec.submodule_search_locations or []
        found += [Path(place) / "conf" for place in places if (Path(place) / "conf").is_dir()]
    return tuple(found)
