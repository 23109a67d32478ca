"""Several runs of one network as one model, whose weights are the mean of theirs.

Reference: Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time" (2022), section 2.
"""

import hashlib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from genexp.config.keys import flat
from genexp.files.trees import Tree
from genexp.inference.run import Run, drawn_from
from genexp.inference.untrained_run import untrained

if TYPE_CHECKING:
    from genexp.families.base import Family

_OF_TRAINING = ("optimizer", "learning_rate")
_DECIDING = ("_target_", "digest", "shape")
_MOST = 12
"""Differences that a line tells."""


@dataclass(frozen=True)
class Soup(Run):
    """Runs whose weights are averaged; all else, such as the sampler and the data, is that of the first.

    Buffers that are numbers, such as the running statistics of batch norm, are averaged like the weights, which needs
    no data; they are not those that the mean of the weights would gather. Counts are those of the first.

    Attributes:
        runs: The runs.
        shares: Their weights in the mean, above 0; they need not sum to 1.
    """

    runs: tuple[Run, ...] = ()
    shares: tuple[float, ...] = ()

    @property
    def members(self) -> "tuple[Run, ...]":
        """The runs that the weights are of."""
        return self.runs

    @property
    def trained(self) -> bool:
        """Whether the checkpoints are read."""
        return all(run.trained for run in self.runs)

    @cached_property
    def model(self) -> "Family":
        """The family of the first run with the mean of the weights, summed in float64."""
        total = sum(self.shares)
        with torch.no_grad():
            sums: dict[str, Tensor] = {}
            for run, share in zip(self.runs, self.shares, strict=True):
                for name, tensor in run.model.state_dict().items():
                    if tensor.is_floating_point():
                        sums[name] = sums.get(name, 0) + tensor.double() * (share / total)
            model = deepcopy(self.runs[0].model)
            own = model.state_dict()
            for name, tensor in sums.items():
                own[name].copy_(tensor)
        return model

    @cached_property
    def digest(self) -> str:
        """Sha256 of the runs' checkpoints, their choice of weights and their shares."""
        told = [f"{run.digest} {run.weights} {share!r}" for run, share in zip(self.runs, self.shares, strict=True)]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()

    @property
    def subject(self) -> Tree:
        """The runs, for a record."""
        return {"soup": self.weights, "runs": [run.folder.record["id"] for run in self.runs]}

    def name_of(self, *how: str) -> str:
        """Name of a folder for what is drawn, with the runs and a digest of all that the weights follow from."""
        of = "-".join(run.folder.record["id"][-4:] for run in self.runs)
        return "_".join([f"soup-{of}", *how, self.digest[:8]])


def soup_of(config: DictConfig, runs: Sequence[Run]) -> Soup:
    """The runs that a command names as one, by its `soup`: `uniform`, or a number for each.

    Raises:
        ValueError: there are not two runs with a number each, their models are not of one network, or `weights` are
            several or in 8 bits.
    """
    if not isinstance(config.weights, str) or "+" in config.weights:
        raise ValueError(f"weights must be one choice, as it was trained, with soup, got {config.weights}")
    shares = [1.0] * len(runs) if config.soup == "uniform" else [float(share) for share in config.soup]
    if len(runs) < 2 or len(shares) != len(runs):
        raise ValueError(f"soup must have a number for each of two runs or more, got {len(shares)} of {len(runs)}")
    for run in runs[1:]:
        _require_alike(runs[0], run)
    first, total = runs[0], sum(shares)
    named = [f"{run.folder.record['id']}@{run.digest[:12]}" for run in runs]
    told = " + ".join(f"{share / total:.6g} {name}" for share, name in zip(shares, named, strict=True))
    weights = f"{first.weights}, mean of {told}"
    return Soup(first.folder, weights, first.checkpoint, first.stands_in, first.trusted, tuple(runs), tuple(shares))


def _require_alike(first: Run, other: Run) -> None:
    """Refuse runs whose weights have other names or shapes, or stand for something else."""
    one, two = (
        {name: tuple(tensor.shape) for name, tensor in untrained(run).model.state_dict().items()}
        for run in (first, other)
    )
    unlike = [name for name in sorted(one.keys() | two.keys()) if one.get(name) != two.get(name)]
    told = [f"{name} {one.get(name, 'nothing')} and {two.get(name, 'nothing')}" for name in unlike]
    if not told:
        told = [f"{key} {a} and {b}" for key, a, b in _decided_otherwise(first, other)]
    if told:
        more = f" and {len(told) - _MOST} more" if len(told) > _MOST else ""
        raise ValueError(
            f"run must name runs of one network with soup, got {first.folder.record['id']} and "
            f"{other.folder.record['id']} with {'; '.join(told[:_MOST])}{more}"
        )


def _decided_otherwise(first: Run, other: Run) -> Iterator[tuple[str, object, object]]:
    """Settings by which the same weights mean something else: classes of parts, digests of frozen ones, the samples."""
    settings = []
    for run in (first, other):
        model = OmegaConf.to_container(drawn_from(run.config.model), resolve=True)
        settings.append(flat({"model": model, "data": {"shape": list(run.config.data.shape)}}))
    one, two = settings
    for key in sorted(one.keys() | two.keys()):
        last = key.rpartition(".")[2]
        if last in _DECIDING and not any(word in key for word in _OF_TRAINING) and one.get(key) != two.get(key):
            yield key, one.get(key), two.get(key)
