"""The files that an ablation's name, a pattern or a path stands for. Imports no torch."""

import fnmatch
from pathlib import Path

from genexp.config.compose import choice_files
from genexp.config.problems import did_you_mean


def named(path: Path) -> str:
    """What to type for a file: its name if genexp or a project ships it, else its path."""
    known = choice_files("ablation").get(path.stem)
    return path.stem if known is not None and known.resolve() == path.resolve() else str(path)


def ablation_files(text: str, folder: Path | None = None) -> list[Path]:
    """The files that a name, a pattern as in `glob(gan_*)`, or a path of one's own stands for.

    Args:
        text: What was typed.
        folder: Where names are looked up; by default the ablations of genexp and of projects.

    Raises:
        FileNotFoundError: there is no such ablation.
    """
    known = sorted(choice_files("ablation").values() if folder is None else folder.glob("*.yaml"))
    if text.startswith("glob(") and text.endswith(")"):
        found = [path for path in known if fnmatch.fnmatch(path.stem, text[5:-1])]
    elif text.endswith((".yaml", ".yml")):
        found = [path for path in [Path(text).expanduser()] if path.is_file()]
    else:
        found = [path for path in known if path.stem == text]
    if not found:
        names = [path.stem for path in known]
        hint = did_you_mean(text, names, listed=False)
        raise FileNotFoundError(
            f"ablation must be a YAML file, glob(<pattern>) or one of {', '.join(names) or 'none'}, got {text}{hint}"
        )
    return found
