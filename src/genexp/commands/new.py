"""genexp new: a project outside of genexp, with a package, a network, a data set, a recipe and a test of its own."""

import keyword
import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from genexp.files.partial import partial_path
from genexp.terminal import print_table, shown_path

HELP = """usage: genexp new <name>

makes the folder <name> here: a package of that name with a network, a data set and a recipe (conf/), a test and a
pyproject.toml by which genexp finds them once it is installed; name: lower case letters, digits and _
"""
_TEMPLATES = Path(__file__).resolve().parents[1] / "assets" / "project"
_PLACES = {
    "package": "{package}",
    "package/conf/experiment/first.yaml": "{package}/conf/experiment/{package}/first.yaml",
}


def main(arguments: list[str]) -> int:
    """Write the project.

    Returns:
        0, or 2 where the name is none or the folder is there.
    """
    if arguments in (["-h"], ["--help"]):
        print(HELP, end="")
        return 0
    try:
        name = _named(arguments)
        folder = Path(name).absolute()
        write_project(name, folder)
    except (ValueError, OSError) as error:
        print(f"genexp new: {error}", file=sys.stderr)
        return 2
    enter = f"cd {name} && uv run"
    rows = [("project", shown_path(folder)), ("train", f"{enter} genexp train experiment={name}/first")]
    print_table([*rows, ("test", f"{enter} pytest")])
    return 0


def _named(arguments: list[str]) -> str:
    """The name that was typed.

    Raises:
        ValueError: there is none, or it names no package, or one that is there.
    """
    if len(arguments) != 1:
        raise ValueError(f"one name must be given, as in genexp new my_project, got {len(arguments)}")
    name = arguments[0]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name, re.ASCII) or keyword.iskeyword(name):
        raise ValueError(f"name must be lower case letters, digits and _, and no word of Python, got {name!r}")
    if name in sys.stdlib_module_names or find_spec(name) is not None:
        raise ValueError(f"name must be that of no package that is there, got {name!r}")
    return name


def write_project(name: str, folder: Path) -> None:
    """Write a project whose package is called `name`, all of it or nothing.

    Raises:
        FileExistsError: the folder is there.
    """
    if folder.exists():
        raise FileExistsError(f"{shown_path(folder)} must not be there yet")
    words = {"{package}": name, "{distribution}": name.replace("_", "-"), "{sources}": _sources()}
    partial = partial_path(folder)
    try:
        for template in sorted(_TEMPLATES.rglob("*.txt")):
            path = partial / _place(template.relative_to(_TEMPLATES).with_suffix("").as_posix(), name)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = template.read_text(encoding="utf-8")
            for word, value in words.items():
                text = text.replace(word, value)
            path.write_text(text.rstrip() + "\n", encoding="utf-8")
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _place(template: str, name: str) -> str:
    for begin, place in sorted(_PLACES.items(), key=lambda each: -len(each[0])):
        if template == begin or template.startswith(f"{begin}/"):
            return place.replace("{package}", name) + template.removeprefix(begin)
    return template


def _sources() -> str:
    """Where uv finds genexp: this checkout, unless it was installed from elsewhere."""
    checkout = Path(__file__).resolve().parents[3]
    if not ((checkout / "pyproject.toml").is_file() and (checkout / "conf").is_dir()):
        return ""
    place = str(checkout).replace("\\", "/")
    return f'\n[tool.uv.sources]\ngenexp = {{ path = "{place}", editable = true }}\n'
