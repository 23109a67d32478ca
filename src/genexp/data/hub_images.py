"""Pictures of a data set as the Hugging Face hub keeps it, from a local folder: Parquet files, or `save_to_disk`."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import torch
from torch import Tensor

from genexp.data import decoding, picture_tensors, sixteen_bits
from genexp.data.decoding import MAX_PIXELS, open_picture
from genexp.data.picture_tensors import Preparation
from genexp.data.source import BadImage, Split, fingerprint, require_split
from genexp.data.split_folders import require_shares
from genexp.data.webdataset import rows_of, split_named
from genexp.extras import require_extra
from genexp.on_disk import OnDisk
from genexp.terminal import counted, shown_path

if TYPE_CHECKING:
    from datasets import Dataset


class HubImages:
    """Pictures of a data set that lies in a folder; nothing is downloaded, and no script in it is run.

    The folder holds Parquet files, of which those whose names say val or test are of that split, or what `datasets`
    wrote by `save_to_disk`. Without files of their own, val and test are rows of train, evenly spread. Only pictures
    whose bytes are in the data are read, never files that it names.

    Args:
        root: The folder.
        image_size: Pixels a side.
        cache_dir: Where `datasets` keeps what it made of Parquet files.
        channels: 1 (grey) or 3 (RGB).
        image_column: Column of the pictures.
        label_column: Column of the classes, or None.
        fit: How other aspect ratios are handled: crop, pad or stretch.
        interpolation: nearest, box, bilinear, bicubic or lanczos.
        val_share: Share of the rows held out as val where it has no files.
        test_share: Share of the rows held out as test where it has no files.
        skip: Whether pictures that cannot be decoded are left out and reported; else the first one is an error.
        max_pixels: Largest width times height that is decoded.

    Raises:
        ValueError: `datasets` is not installed, or an argument is out of range.
    """

    def __init__(
        self,
        root: Annotated[str | Path, OnDisk("folder")],
        image_size: int,
        cache_dir: str | Path,
        channels: int = 3,
        image_column: str = "image",
        label_column: str | None = None,
        fit: str = "crop",
        interpolation: str = "bilinear",
        val_share: float = 0.05,
        test_share: float = 0.05,
        skip: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        require_extra("datasets", "data=hub")
        self.root, self.cache_dir = Path(root), Path(cache_dir)
        self.image_column, self.label_column, self.skip, self.max_pixels = image_column, label_column, skip, max_pixels
        self.preparation = Preparation(image_size, channels, fit, None, interpolation)
        self.shares = require_shares(val_share, test_share)

    @cached_property
    def tables(self) -> dict[Split, "Dataset"]:
        """The rows of every split that has some, with pictures as bytes.

        Raises:
            ValueError: the folder holds no data set, or one without the columns.
        """
        import datasets

        found = self._loaded(datasets)
        for name, table in found.items():
            for key, column in (("image_column", self.image_column), ("label_column", self.label_column)):
                if column is not None and column not in table.column_names:
                    known = ", ".join(table.column_names)
                    raise ValueError(f"data.source.{key} must be one of {known}, got {column}")
            if self.label_column is not None:
                self._require_labels(table)
            columns = [self.image_column, *([] if self.label_column is None else [self.label_column])]
            if isinstance(table.features[self.image_column], datasets.Image):
                table = table.cast_column(self.image_column, datasets.Image(decode=False))
            found[name] = table.select_columns(columns)
        return found

    def _require_labels(self, table: "Dataset") -> None:
        dtype = str(getattr(table.features[self.label_column], "dtype", "lists"))
        whole = "int" in dtype
        wrong = [each for each in table.unique(self.label_column) if each is None or each < 0] if whole else [dtype]
        if wrong:
            told = f"one of whole numbers of at least 0, got {self.label_column} with {wrong[0]}"
            raise ValueError(f"data.source.label_column must be {told} in {self.root}")

    def _loaded(self, datasets: ModuleType) -> dict[Split, "Dataset"]:
        files: dict[Split, list[str]] = {}
        for path in self.files:
            files.setdefault(split_named(str(path.relative_to(self.root))), []).append(str(path))
        datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what is wrong is told below, in one line
        try:
            if files:
                loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(self.cache_dir))
            else:
                loaded = datasets.load_from_disk(str(self.root))
        except Exception as error:  # pyarrow and datasets raise nearly everything for what they cannot read
            cause = error.__cause__ or error
            reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
            told = "a folder of Parquet files, or one that save_to_disk wrote"
            raise ValueError(f"data.source.root must be {told}, got {self.root}: {reason}") from error
        if isinstance(loaded, datasets.Dataset):
            return {"train": loaded}
        return {split_named(str(name)): table for name, table in loaded.items()}

    @cached_property
    def files(self) -> list[Path]:
        """The Parquet files, sorted by path."""
        return sorted(each for each in self.root.rglob("*.parquet") if not each.name.startswith("."))

    @property
    def classes(self) -> Sequence[str] | None:
        """Names of the classes where the data have them, else their numbers; None without a column of classes."""
        if self.label_column is None:
            return None
        names = getattr(self.tables["train"].features[self.label_column], "names", None)
        most = max(max(table.unique(self.label_column), default=0) for table in self.tables.values())
        return names or [str(each) for each in range(most + 1)]

    def split(self, name: Split) -> "HubRows":
        """The pictures of one split.

        Raises:
            ValueError: the split is empty, or the folder holds no data set.
        """
        require_split(name)
        table = self.tables.get(name, self.tables.get("train"))
        rows = rows_of(name, 0 if table is None else len(table), self.shares, set(self.tables))
        if not len(rows):
            rule = "there must be rows of train" if name == "train" else f"{name}_share must hold out a row"
            raise ValueError(f"data.source: {rule}, got none of {name} in {self.root}")
        return HubRows(self, table, rows)

    def notes(self, num_classes: int | None) -> list[str]:
        """What was found, in lines for a person.

        Args:
            num_classes: Number of classes that labels are wanted for, or None.
        """
        rows = ", ".join(f"{counted(len(table), 'row')} of {name}" for name, table in self.tables.items())
        lines = [f"{shown_path(self.root)}: {rows}"]
        if num_classes is None and self.label_column is not None:
            lines.append(f"labels are not used: data.num_classes={len(self.classes)} uses them")
        return lines


class HubRows:
    """Some rows of a table, decoded when they are asked for.

    Args:
        source: Where they come from, and how pictures become images.
        table: The rows with pictures as bytes.
        rows: Numbers of those that are used.
    """

    generated = False

    def __init__(self, source: HubImages, table: "Dataset", rows: Tensor) -> None:
        self.source, self.table, self.rows = source, table, rows
        modules = (module.__file__ for module in (decoding, picture_tensors, sixteen_bits))
        places = source.files or sorted(each for each in source.root.rglob("*") if each.is_file())
        files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in places]
        told = {"rows": [len(rows), int(rows.sum())], "columns": [source.image_column, source.label_column]}
        self.fingerprint = fingerprint(
            __file__, *modules, files=files, preparation=repr(source.preparation), skip=source.skip, **told
        )

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Images (B, C, H, W) uint8, and labels (B,) where there is a column of classes."""
        numbers = self.rows[rows].tolist()
        found = self.table[numbers]
        pairs = zip(numbers, found[self.source.image_column], strict=True)
        columns = {"image": torch.stack([self._image(*each) for each in pairs])}
        label = self.source.label_column
        return columns if label is None else {**columns, "label": torch.tensor(found[label], dtype=torch.int64)}

    def _image(self, number: int, cell: object) -> Tensor:
        name, skip = f"{self.source.root}, row {number:,}", self.source.skip
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            raise BadImage(name, f"the column {self.source.image_column} holds no picture's bytes", skip)
        picture = open_picture(name, self.source.max_pixels, skip, content)
        try:
            return self.source.preparation(picture)
        except ValueError as error:
            raise BadImage(name, str(error), skip) from error
