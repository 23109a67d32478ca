"""What an argument says of itself when it names a file or a folder. Imports nothing heavy."""

import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class OnDisk:
    """In the annotation of an argument, as in `Annotated[str, OnDisk("file")]`: it names what must be there.

    Such a path is looked for before anything is built. A constructor with an argument that names a file reads it, and
    is therefore not called on trial.

    Args:
        kind: `file`, `folder`, or `file or folder`.
        words: Texts that stand for something else.
    """

    kind: str
    words: tuple[str, ...] = ()

    def lacks(self, value: str) -> bool:
        """Whether `value` names nothing of the kind."""
        path = Path(value).expanduser()
        found = {"file": path.is_file, "folder": path.is_dir}.get(self.kind, path.exists)
        return value not in self.words and not found()

    def __str__(self) -> str:
        return " or ".join([*self.words, f"the path of a {self.kind} that exists"])


def require_folder(folder: str, digest: str | None = None) -> None:
    """Check that a folder is there, and say what helps where one is gone that a run was trained with.

    Args:
        folder: The folder.
        digest: What a run has recorded of it, or None.

    Raises:
        FileNotFoundError: it is not there.
    """
    if not Path(folder).expanduser().is_dir():
        link = f"ln -s <its folder now> {shlex.quote(folder)}"
        hint = f"; what was trained with it needs it where it was: where it was moved, a link does, {link}"
        raise FileNotFoundError(f"folder must be a folder that is there, got {folder}{hint if digest else ''}")
