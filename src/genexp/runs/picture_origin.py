"""What a written picture says of itself: which run made it, how, and of what, in the words of C2PA. Imports no torch.

A manifest (JSON) stands in the text of a PNG and in the comment of a GIF. It has the assertions of the C2PA
specification (2.x) that apply, `c2pa.actions` with the source types of IPTC and `c2pa.hash.data` over the pixels, but
no signature: whoever can write a file can write another manifest, so it tells and proves nothing.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genexp.files.json_records import open_regular
from genexp.runs.provenance import command_line

if TYPE_CHECKING:
    from torch import Tensor

KEY = "genexp"
"""Keyword of the manifest among a PNG's texts."""
_FACTS = "genexp.origin"
_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_CREATED = ("c2pa.created", "trainedAlgorithmicMedia")
_EDITED = ("c2pa.edited", "compositeWithTrainedAlgorithmicMedia")
_ASSEMBLED = ("c2pa.edited", "composite")
_MOST, _LONGEST, _ROWS, _COMMAND, _INGREDIENTS = 2**16, 400, 40, 2000, 8


@dataclass(frozen=True)
class Origin:
    """Where pictures of one command come from.

    Args:
        facts: What is told of all of them: runs with the SHA-256 of their weights, seed, command.
        ingredients: Names and SHA-256 of given pictures that they are made of; none where of noise alone.
        trained: Whether a trained model makes them; else they are put together from the pixels of given pictures.
    """

    facts: Mapping[str, Any]
    ingredients: Sequence[Mapping[str, str]] = ()
    trained: bool = True

    def made_of(self, pictures: Sequence[Path]) -> "Origin":
        """The same for what is made of given pictures, of which the first are told."""
        return replace(self, ingredients=[_ingredient(path) for path in pictures[:_INGREDIENTS]])

    def manifest(self, digest: str | None, index: int | None = None, kind: str = "png") -> str:
        """The manifest of one picture, as ASCII.

        Args:
            digest: SHA-256 of its pixels, see `pixels_digest`; None where the file does not keep them.
            index: Index of the sample that it shows; None for several.
            kind: `png` or `gif`.
        """
        action, source = _ASSEMBLED if not self.trained else _EDITED if self.ingredients else _CREATED
        done = {"actions": [{"action": action, "digitalSourceType": _SOURCES + source}]}
        assertions = [{"label": "c2pa.actions", "data": done}]
        if digest is not None:
            assertions.append({"label": "c2pa.hash.data", "data": {"alg": "sha256", "name": "pixels", "hash": digest}})
        facts = {**self.facts, **({} if index is None else {"index": index})}
        content = {
            "claim_generator": f"genexp/{metadata.version('genexp')}",
            "format": f"image/{kind}",
            "assertions": [*assertions, {"label": _FACTS, "data": facts}],
            "ingredients": list(self.ingredients),
        }
        return json.dumps(content)

    def text(self, picture: "Tensor", index: int | None = None) -> dict[str, str]:
        """The texts of a PNG of a uint8 picture (C, H, W): the manifest under `KEY`, and what software wrote it."""
        channels, *size = picture.shape
        values = picture.movedim(0, -1).contiguous().cpu().numpy().tobytes()
        made = self.manifest(pixels_digest(values, (*size, channels)), index)
        return {"Software": f"genexp {metadata.version('genexp')}", KEY: made}


def pixels_digest(values: bytes, shape: Sequence[int]) -> str:
    """SHA-256 of 8-bit pixels in the order of `shape` (H, W, C), with that shape."""
    return hashlib.sha256(f"{'x'.join(map(str, shape))}:".encode() + values).hexdigest()


def typed() -> dict[str, str]:
    """The command, with the home folder as `~` and no key of a watermark, for the facts of an origin."""
    line = command_line(secret="watermark").replace(str(Path.home()), "~")
    return {"command": line if len(line) <= _COMMAND else f"{line[:_COMMAND]} ..."}


@dataclass(frozen=True)
class ForeignManifest:
    """What a stranger's manifest says, as texts that are short and only to be shown.

    Attributes:
        rows: Names and values.
        digest: What it says of the pixels, or None.
    """

    rows: tuple[tuple[str, str], ...]
    digest: str | None

    @property
    def runs(self) -> tuple[str, ...]:
        """The ids that it names of runs."""
        ids = (value.partition(",")[0] for name, value in self.rows if name == "run")
        return tuple(each.removeprefix("id ") for each in ids if each.startswith("id "))

    @property
    def in_noise(self) -> bool:
        """Whether it says of a watermark that it is in the noise."""
        return ("watermark_in", "noise") in self.rows


def read_claim(text: str) -> ForeignManifest | None:
    """A manifest as it can be shown; None of any other text."""
    try:
        content = json.loads(text) if len(text) <= _MOST else None
        data = {each["label"]: each["data"] for each in content["assertions"]}
        facts, actions = dict(data[_FACTS]), data["c2pa.actions"]["actions"]
        rows = [("made by", content["claim_generator"]), ("action", f"{actions[0]['action']}, {_source(actions[0])}")]
        rows += [pair for key, value in facts.items() for pair in _told(str(key), value)]
        rows += [("made of", f"{each['title']}, sha256 {each['hash']}") for each in content["ingredients"]]
        digest = data.get("c2pa.hash.data", {}).get("hash")
    except (ValueError, RecursionError, KeyError, TypeError, IndexError, AttributeError):
        return None
    cut = tuple((short(name), short(value)) for name, value in rows[:_ROWS])
    return ForeignManifest(cut, digest if isinstance(digest, str) else None)


def short(value: object) -> str:
    """A value as a text of bounded length."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... ({len(text):,} characters)"


def _told(key: str, value: object) -> list[tuple[str, object]]:
    if not isinstance(value, list):
        return [(key, value)]
    return [(key.removesuffix("s"), _in_words(each)) for each in value]


def _in_words(value: object) -> object:
    return ", ".join(f"{name} {short(each)}" for name, each in value.items()) if isinstance(value, dict) else value


def _source(action: Mapping[str, Any]) -> str:
    return str(action["digitalSourceType"]).removeprefix(_SOURCES)


def _ingredient(path: Path) -> dict[str, str]:
    with os.fdopen(open_regular(path), "rb") as file:
        return {"title": path.name, "hash": hashlib.file_digest(file, "sha256").hexdigest()}
