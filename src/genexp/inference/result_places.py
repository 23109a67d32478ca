"""Which pictures a command reads, and where what it makes of them goes. Imports no torch."""

from collections.abc import Iterable
from pathlib import Path

from genexp.data.scikit_learn_files import PHOTOGRAPHS, scikit_learn_file


def picture_file(key: str, given: str) -> Path:
    """The file of a picture; the photographs that ship with scikit-learn are known by name.

    Raises:
        FileNotFoundError: it does not exist.
    """
    path = Path(given).expanduser()
    if path.exists() and not path.is_dir():  # what is no regular file is refused where it is opened
        return path
    if given in PHOTOGRAPHS:
        return scikit_learn_file("images", given)
    raise FileNotFoundError(f"{key} must be a picture file (or {' or '.join(PHOTOGRAPHS)}), got {given}")


def results_in(target: Path, folder: Path, pictures: Iterable[Path], key: str) -> tuple[Path, ...]:
    """A PNG file in the folder `target` for every picture below a folder, in the order of the pictures.

    Raises:
        ValueError: `target` is a file, or two pictures of `key` would have one result.
    """
    if target.exists() and not target.is_dir():
        raise ValueError(f"out must be a folder where {key} is one, got {target}")
    results: dict[Path, Path] = {}
    for path in pictures:
        result = target / path.relative_to(folder).with_suffix(".png")
        if result in results:
            raise ValueError(f"{key} must hold pictures of different names, got {results[result].name}, {path.name}")
        results[result] = path
    return tuple(results)


def require_apart(results: Iterable[Path], read: Iterable[tuple[str, Path]]) -> None:
    """Raise ValueError where a result would replace a picture that is read, named by the key that names it."""
    known = {path.resolve(): key for key, path in read}
    for result in results:
        if result.resolve() in known:
            raise ValueError(f"out must not be the {known[result.resolve()]} picture itself, got {result}")
