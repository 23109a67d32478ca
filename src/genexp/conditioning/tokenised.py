"""Captions of any words, as the numbers that a tokenizer of a folder gives them (the extra `hub`)."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
from torch import Tensor

from genexp.conditioning.kinds import NONE_TOLD, require_form, require_share
from genexp.extras import require_extra
from genexp.files.json_records import reason_of, shown
from genexp.files.trees import Tree
from genexp.on_disk import OnDisk, require_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "spiece.model", "tokenizer_config.json")
_VOCABULARIES = ("vocab.txt", "tokenizer.model", "sentencepiece.bpe.model")
"""What transformers reads where there is no `tokenizer.json`."""
_ADDED = ("special_tokens_map.json", "added_tokens.json")
"""What it reads where `tokenizer_config.json` does not say which tokens are added."""
_MOST = 512
_DIGITS = 12


@dataclass(frozen=True, eq=False)
class Tokenised:
    """A text (B, length) int64 of the tokens of a tokenizer that transformers has saved, filled up as that does.

    The tokens that begin and end a text are among them; a text without words stands for none. Texts that do not fit
    are refused and never cut.

    Args:
        folder: The tokenizer's folder, such as `tokenizer/` of a pipeline.
        length: Tokens of the longest text; None for as many as the tokenizer says that its model takes.
        left_out: Share of training samples that are not told theirs, in [0, 1).
        digest: Of the folder that is meant; None for the one that is there. A run's configuration has it.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: transformers is not installed, the folder holds no tokenizer, another one, or one that ends no text;
            `length` is missing, or it or `left_out` is out of range.
    """

    folder: Annotated[str, OnDisk("folder")]
    length: int | None = None
    left_out: float = field(default=0.0, compare=False)
    digest: str | None = None
    words = ()
    unknown = "word"

    def __post_init__(self) -> None:
        require_share(self.left_out)
        require_extra("transformers", "folder")
        require_folder(self.folder, self.digest)
        found = _digest(self.folder)
        if self.digest not in (None, found):
            raise ValueError(
                f"folder must be the one with the digest {self.digest}, got {self.folder} with {found}: it was replaced"
            )
        tokenizer = _loaded(self.folder)
        length = self.length
        if length is None and tokenizer.model_max_length <= _MOST:
            length = tokenizer.model_max_length
        if length is None or length < 2:
            raise ValueError(f"length must be at least 2 tokens, for {self.folder} says no length, got {length}")
        for name, value in (("digest", found), ("length", length), ("tokenizer", tokenizer)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_none", self._tokens(""))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenised) and (self.digest, self.length) == (other.digest, other.length)

    def __hash__(self) -> int:
        return hash((self.digest, self.length))

    @classmethod
    def settled(cls, node: Tree) -> Tree:
        """The configuration with the digest of the folder that is there now; see `genexp.config.trained_parts`."""
        return node if node.get("digest") else {**node, "digest": _digest(node["folder"])}

    def require(self, rows: Tensor) -> None:
        """Raise ValueError unless `rows` are integers (B, length)."""
        require_form(rows, (self.length,), integers=True)

    def nothing(self, num: int, device: torch.device | str) -> Tensor:
        """Texts without words (num, length)."""
        return self._none.to(device).repeat(num, 1)

    def read(self, typed: object) -> Tensor:
        """The tokens (1, length) of a text, or (N, length) of a list of texts."""
        texts = list(typed) if isinstance(typed, Sequence) and not isinstance(typed, str) else [typed]
        if not texts:
            raise ValueError("must be a text or a list of texts, got an empty list")
        for text in map(str, texts):
            if not text.strip():
                raise ValueError(f"must have at least one word, got an empty text; {NONE_TOLD}")
        return torch.cat([self._tokens(str(text)) for text in texts])

    def reads(self, other: object) -> bool:
        """Whether the tokens of another's texts mean here what they mean there."""
        return self == other

    def said(self, row: Tensor) -> str:
        """The text of one row (length,) of tokens, as the tokenizer spells it."""
        return self.tokenizer.decode(row.tolist(), skip_special_tokens=True).strip()

    def counted(self, rows: Tensor) -> Tensor:
        """Which tokens (B, length) are of the text, (B, length): all up to the first that ends it."""
        ends = (rows == self.tokenizer.eos_token_id).int()
        return ends.cumsum(1) - ends == 0

    @property
    def filler(self) -> int:
        """The token that texts are filled up with."""
        return self.tokenizer.pad_token_id

    def strange(self, captions: Iterable[str]) -> Counter[str]:
        """Nothing: a tokenizer reads all words."""
        return Counter()

    def _tokens(self, text: str) -> Tensor:
        found = self.tokenizer(text, verbose=False)["input_ids"]
        if len(found) > self.length:
            raise ValueError(f"must have at most {self.length} tokens, got {len(found)}")
        if (end := self.tokenizer.eos_token) in text:  # by its letters: CLIP's stands for unknown ones too
            raise ValueError(f"must not hold {end}, which ends a text, got {shown(text)}")
        whole = self.tokenizer(text, padding="max_length", max_length=self.length, return_tensors="pt")
        return whole["input_ids"]


def _digest(folder: str) -> str:
    """The first digits of the SHA-256 of a tokenizer's files."""
    path, digest = Path(folder).expanduser(), hashlib.sha256()
    require_folder(folder)
    there = _read_files(path)
    if not there:
        raise FileNotFoundError(f"folder must hold a tokenizer as transformers saves it, got {folder} without one")
    for each in there:
        digest.update(each.name.encode() + each.read_bytes())
    return digest.hexdigest()[:_DIGITS]


def _read_files(path: Path) -> list[Path]:
    """The files of a tokenizer's folder by which transformers reads a text."""
    config = path / "tokenizer_config.json"
    names = list(_FILES)
    if not (path / "tokenizer.json").is_file():
        names += _VOCABULARIES
    if not config.is_file() or b'"added_tokens_decoder"' not in config.read_bytes():
        names += _ADDED
    return [path / name for name in names if (path / name).is_file()]


def _loaded(folder: str) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(Path(folder).expanduser(), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever the library raises of a stranger's files
        raise ValueError(
            f"folder must hold a tokenizer that transformers loads, got {folder}: {reason_of(error)}"
        ) from error
    if found.eos_token_id is None or found.pad_token_id is None:
        raise ValueError(f"folder must hold a tokenizer that ends texts and fills them up, got {folder}")
    return found
