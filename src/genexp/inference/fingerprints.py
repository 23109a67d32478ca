"""A fingerprint in the weights of what is exported: signs of a key on every weight, found again in the file alone.

Every matrix and kernel is moved by eps s_i r, with the signs s_i that a key gives its numbers and the root mean square
r of its own; eps is what brings z to `AIM` in each part of the model, about 9 / sqrt(N) for its N numbers, so that
large models are changed less. z = sum s_i x_i / |x|, with x the numbers of each tensor over its r, within [-3, 3]. For
*any* weights that do not know the key, P(z >= t) <= exp(-t^2 / 2) over keys (Hoeffding 1963, theorem 2): no model of
weights is in it. Giving every receiver a key of their own tells whose copy a file is.

Reference: Uchida et al., "Embedding Watermarks into Deep Neural Networks" (2017), for signs of a key in weights; here
they are added and not trained, and nothing but the weights is read.
"""

import hashlib
import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genexp.inference.run import Run

if TYPE_CHECKING:
    from genexp.families.base import Family

AIM = 9.0
"""The z that a key is given, and found with where nothing was changed."""
FALSE_POSITIVES = 1e-6
_BOUND = 3.0


@dataclass(frozen=True)
class Fingerprinted(Run):
    """A run with the fingerprint of a key in its weights.

    Attributes:
        inner: The run.
        key: Any text.
    """

    inner: Run | None = None
    key: str = ""

    @property
    def members(self) -> "tuple[Run, ...]":
        """Those of the run."""
        return self.inner.members

    @property
    def digest(self) -> str:
        """That of the run."""
        return self.inner.digest

    @cached_property
    def model(self) -> "Family":
        """The run's model, changed."""
        model = deepcopy(self.inner.model)
        own = model.state_dict()
        with torch.no_grad():
            for name, weight in fingerprinted(own, self.key).items():
                own[name].copy_(weight)
        return model


def with_fingerprint(run: Run, key: str) -> Fingerprinted:
    """The run with the fingerprint of a key."""
    return Fingerprinted(run.folder, run.weights, run.checkpoint, run.stands_in, run.trusted, run, key)


def fingerprinted(weights: Mapping[str, Tensor], key: str) -> dict[str, Tensor]:
    """The matrices and kernels of a model by name, with the fingerprint of a key.

    Raises:
        ValueError: there is none.
    """
    chosen, made = _carrying(weights), {}
    for part in dict.fromkeys(map(_part, chosen)):
        own = {name: weight for name, weight in chosen.items() if _part(name) == part}
        lacking = max(0.0, AIM - agreement(own, key))
        eps = lacking / math.sqrt(sum(weight.numel() for weight in own.values()))
        made |= {name: weight + eps * _scale(weight) * _signs(key, name, weight) for name, weight in own.items()}
    return made


def agreement(weights: Mapping[str, Tensor], key: str) -> float:
    """z, the correlation with the signs of a key, in standard deviations of what chance gives.

    Raises:
        ValueError: there is no matrix or kernel.
    """
    agreeing = energy = 0.0
    for name, weight in _carrying(weights).items():
        x = (weight / _scale(weight).clamp(min=1e-30)).double().clamp(-_BOUND, _BOUND)
        agreeing += float((x * _signs(key, name, weight)).sum())
        energy += float(x.pow(2).sum())
    return agreeing / math.sqrt(max(energy, 1e-30))


def chance(z: float) -> float:
    """The bound exp(-z^2 / 2) on the share of keys that agree as well with weights that do not know them."""
    return math.exp(-(max(z, 0.0) ** 2) / 2)


def _carrying(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {name: weight for name, weight in weights.items() if weight.is_floating_point() and weight.dim() > 1}
    if not found:
        raise ValueError("fingerprint needs weights with matrices or kernels, got none")
    return found


def _part(name: str) -> str:
    """The part of a model that a weight is of: what is exported has some of them, whole."""
    return name.partition(".")[0]


def _scale(weight: Tensor) -> Tensor:
    return weight.double().pow(2).mean().sqrt().to(weight.dtype)


def _signs(key: str, name: str, weight: Tensor) -> Tensor:
    """Signs of the shape of a weight that key and name fix: SHAKE-256."""
    count = weight.numel()
    drawn = hashlib.shake_256(f"fingerprint {key}\0{name}".encode()).digest(-(-count // 8))
    octets = torch.frombuffer(bytearray(drawn), dtype=torch.uint8)
    bits = (octets[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
    return bits.flatten()[:count].to(weight.dtype).mul(2).sub(1).reshape(weight.shape)
