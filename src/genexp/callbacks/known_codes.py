"""Codes of images that stay as they are: made once, and not once an epoch."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from lightning import Callback, Trainer
from torch import Tensor

from genexp.callbacks.trainee import Trainee
from genexp.contracts import Batch
from genexp.contracts.codecs import Codec
from genexp.evaluation.cache import TensorCache

if TYPE_CHECKING:
    from genexp.data.datamodule import ImageData


class Codes:
    """The codes of the images of one split, each encoded in the first batch that shows it.

    A batch with an image that is new is encoded whole, so that its codes are those of encoding it there and then, to
    the last bit. Once all images are known, their codes are kept on disk and later trainings encode nothing.

    Args:
        codec: Makes the codes.
        count: Number of images.
        cache: Where codes are kept; None for memory alone.
        content: Digest of the images.
    """

    def __init__(self, codec: Codec, count: int, cache: TensorCache | None, content: str) -> None:
        self.codec, self.cache = codec, cache
        self.key: dict[str, str | int] = {"codes": content, "codec": codec.fingerprint, "count": count}
        self.known: Tensor | None = torch.zeros(count, dtype=torch.bool)  # None: all are
        self.codes: Tensor | None = None

    def of(self, image: Tensor, index: Tensor) -> Tensor:
        """The codes (B, *code_shape) of images (B, C, H, W) with positions (B,) in the split."""
        if self.codes is None:
            self._begin(image.device)
        if self.codes is not None and self.known is None:  # beside the images, so that no step waits for the device
            return self.codes[index.to(self.codes.device)]
        rows = index.cpu()
        if self.codes is not None and bool(self.known[rows].all()):
            return self.codes[rows].to(image.device)
        code = self.codec.encode(image)
        self._learn(rows, code)
        return code

    def _begin(self, device: torch.device) -> None:
        """Read what an earlier training kept; codes of another device or torch differ in their last bits."""
        self.key |= {"device": device.type, "torch": torch.__version__}
        found = None if self.cache is None else self.cache.load(self.key)
        if found is not None:
            with torch.inference_mode(False):
                self.codes, self.known = found["codes"].to(device), None

    def _learn(self, rows: Tensor, code: Tensor) -> None:
        with torch.inference_mode(False):  # a validation begins it, in a mode whose tensors training could not use
            if self.codes is None:
                self.codes = torch.empty(len(self.known), *code.shape[1:], dtype=code.dtype)
            new = ~self.known[rows]
            self.codes[rows[new]] = code.detach().cpu()[new]
            self.known[rows] = True
            if bool(self.known.all()):
                if self.cache is not None:
                    self.cache.store(self.key, {"codes": self.codes})
                self.codes, self.known = self.codes.to(code.device), None


class KnownCodes(Callback):
    """Gives every batch of images that are in memory and not augmented the codes that a model trains on, as `code`.

    Codes are in memory beside the images, of which they are the smaller part. What is learned is what encoding every
    batch anew would teach, bit for bit.

    Args:
        codec: Makes the codes.
        folder: Where they are kept once all are known; None for memory alone.
    """

    def __init__(self, codec: Codec, folder: str | Path | None) -> None:
        self.codec, self.cache = codec, None if folder is None else TensorCache(folder)
        self.splits: dict[str, Codes] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: Trainee, batch: Batch, batch_idx: int) -> None:
        """Add the codes of a training batch."""
        self._add(trainer, "train", batch)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: Trainee, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Add the codes of a held-out batch."""
        self._add(trainer, "val", batch)

    def _add(self, trainer: Trainer, split: str, batch: Batch) -> None:
        if split not in self.splits:
            data = trainer.datamodule
            self.splits[split] = Codes(self.codec, data.drawn_size(split), self.cache, data.digest(split))
        batch["code"] = self.splits[split].of(batch["image"], batch["index"])


def known_codes(codec: Codec | None, data: "ImageData") -> KnownCodes | None:
    """What keeps the codes of a model with this codec on these data; None where images change or are not in memory."""
    if codec is None or not data.in_memory or data.augmentation:
        return None
    return KnownCodes(codec, data.cache_dir)
