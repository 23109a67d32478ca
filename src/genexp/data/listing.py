"""Finding picture files below a folder, and saying what else lies there."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from genexp.data.decoding import EXTENSIONS
from genexp.data.source import BadImage
from genexp.terminal import counted, plain, shown_path

HIDDEN = "hidden"
TWICE = "a link to a folder that is read already"
_MOST_NAMED = 5


class ListedPicture(NamedTuple):
    """A picture file.

    Attributes:
        file: Its path.
        relative: Its path below the folder of its split, with forward slashes.
        size: Bytes.
        modified: Time of its last change, in nanoseconds.
    """

    file: str
    relative: str
    size: int
    modified: int

    @property
    def class_name(self) -> str | None:
        """The first folder of the relative path, with control characters made visible; None without a folder."""
        return plain(self.relative.split("/")[0]) if "/" in self.relative else None


class Passed(NamedTuple):
    """A file or folder that is left out, with the reason in words."""

    file: str
    reason: str


@dataclass
class Listing:
    """What lies below a folder.

    Args:
        pictures: Picture files, sorted by their relative paths.
        passed: What was passed over.
        linked: Pairs of class folders that are one folder.
    """

    pictures: list[ListedPicture] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    linked: list[tuple[str, str]] = field(default_factory=list)


def find_pictures(folder: Path, skip: bool = False) -> Listing:
    """All picture files below a folder; links are followed, each to a folder once in every class.

    Args:
        folder: The folder.
        skip: Pass over what cannot be listed or is no regular file, in place of an error.

    Raises:
        BadImage: without `skip`: a folder or a file cannot be read, a link leads nowhere, or what has the name of a
            picture is no regular file.
    """
    found = Listing()
    for path, relative in _files(folder, found, skip):
        name = os.path.basename(path)
        ending = PurePosixPath(name).suffix.lower()
        if name.startswith("."):
            found.passed.append(Passed(path, HIDDEN))
        elif ending not in EXTENSIONS:
            found.passed.append(Passed(path, f"of another kind ({plain(ending) or 'no ending'})"))
        else:
            try:
                found.pictures.append(picture_file(path, relative, skip))
            except BadImage as bad:
                _leave(found, bad)
    found.pictures.sort(key=lambda picture: picture.relative)
    return found


def picture_file(path: str, relative: str, skip: bool = False) -> ListedPicture:
    """A file with its size and time of change.

    Raises:
        BadImage: there is none, or it is no regular file.
    """
    try:
        state = os.stat(path)
    except OSError as error:
        reason = "it is a link that leads nowhere" if os.path.islink(path) else error.strerror or str(error)
        raise BadImage(path, reason, skip) from error
    if not stat.S_ISREG(state.st_mode):
        raise BadImage(path, "it is not a regular file", skip)
    return ListedPicture(path, relative, state.st_size, state.st_mtime_ns)


def _files(folder: Path, found: Listing, skip: bool) -> Iterator[tuple[str, str]]:
    """Paths of all files with their paths below `folder`, in an order that does not depend on the machine."""
    failures: list[OSError] = []
    visited: dict[str, set[str]] = {}
    homes: dict[str, str] = {}
    for where, folders, files in os.walk(folder, followlinks=True, onerror=failures.append):
        below = os.path.relpath(where, folder).replace(os.sep, "/")
        top = below.split("/")[0]
        seen, real = visited.setdefault(top, {os.path.realpath(folder)}), os.path.realpath(where)
        if below != "." and real in seen:  # also a link to a folder above: walking on would never end
            found.passed.append(Passed(where, TWICE))
            folders.clear()
            continue
        if below == top != "." and homes.setdefault(real, top) != top:
            found.linked.append((homes[real], top))
        seen.add(real)
        found.passed += [Passed(os.path.join(where, name), HIDDEN) for name in folders if name.startswith(".")]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from ((os.path.join(where, name), name if below == "." else f"{below}/{name}") for name in sorted(files))
    for error in failures:
        _leave(found, BadImage(str(error.filename), f"the folder cannot be listed: {error.strerror}", skip))


def _leave(found: Listing, bad: BadImage) -> None:
    if not bad.skip:
        raise bad
    found.passed.append(Passed(bad.path, bad.reason))


def also(listing: Listing) -> list[str]:
    """What is worth knowing of a listing beside its pictures, in lines for a person."""
    lines = [f"class folders {plain(a)} and {plain(b)} are one folder" for a, b in listing.linked]
    passed = in_words(listing.passed)
    return lines + ([passed] if passed else [])


def in_words(passed: Iterable[Passed]) -> str | None:
    """One line on what was passed over and why, or None if there is nothing; a single file is named."""
    reasons: dict[str, list[str]] = {}
    for file, reason in passed:
        reasons.setdefault(reason, []).append(file)
    if not reasons:
        return None
    counts = Counter({reason: len(files) for reason, files in reasons.items()})
    parts = []
    for reason, count in counts.most_common(_MOST_NAMED):
        named = "" if reason == HIDDEN or count > 1 else f": {plain(shown_path(Path(reasons[reason][0])))}"
        parts.append(f"{count:,} {reason}{named}")
    others = counts.total() - sum(count for _, count in counts.most_common(_MOST_NAMED))
    parts += [f"{others:,} for other reasons"] if others else []
    return f"passed over {counted(counts.total(), 'file')}: {'; '.join(parts)}"
