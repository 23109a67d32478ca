"""Any tree of picture files with captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from genexp.conditioning.tokenised import Tokenised
from genexp.data import caption_files, word_lists
from genexp.data.caption_files import LISTS, captions_of, require_all, texts_unread
from genexp.data.folder import Folder
from genexp.data.listing import ListedPicture, Listing
from genexp.data.picture_files import ImageFiles, few
from genexp.data.source import Split, fingerprint
from genexp.data.word_lists import WordList, words_of
from genexp.on_disk import OnDisk
from genexp.terminal import counted, plain


class CaptionedFolder(Folder):
    """Pictures below a folder with what they show in words, from texts beside them or from a list.

    A list is `captions.jsonl`, `captions.csv`, `metadata.jsonl` or `metadata.csv` in the folder of a split, with the
    columns `file_name` and `text` (or `file` and `caption`); texts are `bird.txt` beside `bird.png`.

    Args:
        root: The folder.
        image_size: Pixels a side.
        captions: How captions become numbers of words, whose list is made of the training captions where it has none;
            or of the tokens of a tokenizer.
        uncaptioned: `error` refuses pictures without caption, `empty` shows them without words.
        settings: Everything else that `Folder` takes.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        root: Annotated[str | Path, OnDisk("folder")],
        image_size: int,
        captions: WordList | Tokenised,
        uncaptioned: Literal["error", "empty"] = "error",
        **settings: Any,
    ) -> None:
        super().__init__(root, image_size, **settings)
        if uncaptioned not in ("error", "empty"):
            raise ValueError(f"uncaptioned must be error or empty, got {uncaptioned!r}")
        self._kind, self.uncaptioned = captions, uncaptioned

    @cached_property
    def texts(self) -> dict[str, dict[str, str]]:
        """The captions of every split by the relative paths of its pictures.

        Raises:
            ValueError: they cannot be read, or pictures have none and must.
        """
        own = {}
        for name, listing in self.found.items():
            folder = self._folder(name)
            own[name] = captions_of(folder, listing.pictures)
            if self.uncaptioned == "error":
                require_all(own[name], listing.pictures, folder)
        return {name: own["train"] if name in self.cut else own[name] for name in own}

    @cached_property
    def captions(self) -> WordList | Tokenised:
        """How captions become numbers of words or tokens.

        Raises:
            ValueError: the training captions have no words, or too many different ones.
        """
        if isinstance(self._kind, Tokenised) or self._kind.settled:
            return self._kind
        texts = self._texts_of("train")
        if not any(map(words_of, texts)):
            raise ValueError(f"captions must hold at least 1 word, got none in {self.root}")
        return self._kind.made_of(texts)

    def caption(self, index: int, split: Split = "train") -> str:
        """One picture in words."""
        return self._texts_of(split)[index]

    def split(self, name: Split) -> "CaptionedFiles":
        """The picture files of one split with their captions.

        Raises:
            ValueError: the split is empty, or a caption cannot be read.
        """
        files = super().split(name)
        return CaptionedFiles(files, self.numbers[name], tuple(self.captions.words))

    @cached_property
    def numbers(self) -> dict[str, Tensor]:
        """The captions of every split that has pictures, (N, L), all of which are read before any is shown.

        Raises:
            ValueError: one cannot be read.
        """
        return {
            name: torch.cat(list(map(self._numbers, pictures, self._texts_of(name), [name] * len(pictures))))
            for name, pictures in self.pictures.items()
            if pictures
        }

    def _numbers(self, picture: ListedPicture, text: str, name: str) -> Tensor:
        try:
            return self.captions.read(text) if words_of(text) else self.captions.nothing(1, "cpu")
        except ValueError as error:
            strange = self.captions.unknown == "error" and self.captions.strange([text])
            also = "; data.source.captions.unknown=word reads any" if strange else ""
            raise ValueError(f"caption of {plain(picture.relative)} of {name} {error}{also}") from error

    def find(self, folder: Path, skip: bool) -> Listing:
        """The picture files below a folder; files of captions are not told as passed over."""
        found = super().find(folder, skip)
        texts = {str(Path(picture.file).with_suffix(".txt")) for picture in found.pictures}
        texts |= {str(folder / name) for name in LISTS}
        found.passed = [each for each in found.passed if each.file not in texts]
        return found

    def notes(self, num_classes: int | None) -> list[str]:
        """What was found, in lines for a person.

        Raises:
            ValueError: a caption cannot be read.
        """
        texts = [text for name in self.numbers for text in self._texts_of(name)]
        words = self.captions.words
        most = f"at most {self.captions.length} a picture"
        lines = [f"captions of {counted(len(words), 'word')} ({few(words)}), {most}"]
        if isinstance(self.captions, Tokenised):
            lines = [f"captions in tokens of {plain(self.captions.folder)}, {most}"]
        strange = self.captions.strange(texts)
        if strange:
            named = few([word for word, _ in strange.most_common(5)])
            lines.append(f"{counted(strange.total(), 'word')} of captions read as unknown: {named}")
        empty = sum(not words_of(text) for text in texts)
        lines += [f"{counted(empty, 'picture')} without caption"] if empty else []
        unread = sum(len(texts_unread(self._folder(name), found.pictures)) for name, found in self.found.items())
        lines += [f"{counted(unread, 'text')} beside pictures not read, for a list goes before"] if unread else []
        return super().notes(num_classes) + lines

    def _folder(self, name: str) -> Path:
        return self.folders.get(name, self.root)

    def _texts_of(self, name: str) -> list[str]:
        return [self.texts[name].get(picture.relative, "") for picture in self.pictures[name]]


@dataclass
class CaptionedFiles:
    """Picture files with their captions (N, L), numbers of the words of a list."""

    files: ImageFiles
    caption: Tensor
    words: Sequence[str]
    generated = False

    def __post_init__(self) -> None:
        code = [module.__file__ for module in (caption_files, word_lists)]
        told = {"caption": self.caption.tolist(), "words": list(self.words)}
        self.fingerprint = fingerprint(__file__, *code, files=self.files.fingerprint, **told)

    def __len__(self) -> int:
        return len(self.files)

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """What the files give, and the captions (B, L).

        Raises:
            BadImage: an image cannot be decoded.
        """
        return {**self.files.read(rows), "caption": self.caption[rows]}

    @property
    def remarks(self) -> list[str]:
        """What was seen while all files were read, in lines for a person."""
        return self.files.remarks
