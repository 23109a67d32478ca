"""Files that ship with scikit-learn, found without importing it, which takes a second or two."""

import importlib.util
from pathlib import Path

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
"""Names of the photographs."""


def scikit_learn_file(*parts: str) -> Path:
    """A file of the package `sklearn.datasets`.

    Args:
        parts: Its path below the package's folder: `data`, `digits.csv.gz`.

    Raises:
        FileNotFoundError: scikit-learn is not installed, or this version ships no such file.
    """
    package = importlib.util.find_spec("sklearn")
    folders = package.submodule_search_locations if package else []
    for folder in folders:
        if (path := Path(folder, "datasets", *parts)).is_file():
            return path
    raise FileNotFoundError(f"scikit-learn must be installed and ship datasets/{'/'.join(parts)}, looked in {folders}")
