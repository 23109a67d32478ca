"""Where the lesions of `Contrasts` are, which no picture of a pair says alone."""

import torch
from torch import Tensor

from genexp.data.contrasts import TISSUES, ContrastPairs, Contrasts, anatomy

_PAIRS = {"bright": ("bright lesion", "striped organ"), "dark": ("dark lesion", "smooth organ")}


class ContrastLesions:
    """Where the lesions of pairs lie, and the organs around them, by the numbers that the pairs are drawn from.

    Args:
        source: The pairs.

    Raises:
        ValueError: `source` has other data.
    """

    kinds = tuple(_PAIRS)
    """Names of the lesions, of which a picture has at most one each."""

    def __init__(self, source: object) -> None:
        if not isinstance(source, Contrasts):
            raise ValueError(f"source must have lesions, as Contrasts does, got {type(source).__name__}")
        self._source = source

    def shares(self, split: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The share of every pixel that is lesion, and that is the organ around it.

        Args:
            split: `train`, `val` or `test`.
            rows: Numbers (B,) of pairs in the split.

        Returns:
            Both (B, 2, H, W), from 0 to 1, in the order of `kinds`; 0 where there is no lesion.
        """
        pairs: ContrastPairs = self._source.split(split)
        numbers, _ = pairs._all_drawn(rows)  # no public name: the digest of the data is of that file's text
        _, _, found = anatomy(numbers, pairs.image_size)
        names = list(TISSUES)
        lesion, organ = (torch.tensor([names.index(pair[side]) for pair in _PAIRS.values()]) for side in (0, 1))
        return found[:, lesion], found[:, organ]
