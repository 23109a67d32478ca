"""Several runs drawn from as one: every sample comes from one of them, chosen by its index alone."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from genexp.contracts import Batch
from genexp.data.source import Split
from genexp.evaluation.dealing import dealt
from genexp.files.trees import Tree
from genexp.files.writing import naming
from genexp.inference.drawing import Drawing, require_drawable
from genexp.inference.generated_images import Samples
from genexp.inference.picture_origins import origin_of
from genexp.inference.run import Run
from genexp.inference.sampler_config import checked_sampler, sampler_label
from genexp.inference.watermarks import watermark_of
from genexp.runs.staging import staged
from genexp.tensors import IndexedNoise, mix_seed

RECORD = "sample.json"
PARTS = ("grid.png", "grid.gif", "images", "videos", "points.csv")
"""What a drawing from several runs can consist of."""
_MEMBERS = 71
"""Keeps the draws of members apart from the noise of samples under the same seed."""


def members(indices: Sequence[int], seed: int, shares: Sequence[float]) -> Tensor:
    """The number (B,) of the run that each sample comes from: a draw of (seed, index), by the runs' shares.

    Args:
        indices: Indices of the samples.
        seed: Seed of the whole set.
        shares: Weights of the runs, above 0; they need not sum to 1.
    """
    place = IndexedNoise(mix_seed(seed, _MEMBERS), indices).uniform(1)[:, 0].double()
    edges = torch.tensor(shares, dtype=torch.float64).cumsum(0)
    return torch.searchsorted(edges, place * edges[-1], right=True).clamp(max=len(shares) - 1)


def require_ensemble(runs: Sequence[Run], shares: Sequence[float]) -> None:
    """Refuse runs that cannot be drawn from as one.

    Raises:
        ValueError: there is not one share a run, or one run alone; shapes or conditions differ.
    """
    if len(runs) < 2 or len(shares) != len(runs):
        raise ValueError(f"shares must have one number for each of two runs or more, got {len(shares)} of {len(runs)}")
    shapes = [tuple(run.config.data.shape) for run in runs]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"run must name runs of one shape with shares, got {' and '.join(map(str, dict.fromkeys(shapes)))}"
        )
    told = [run.model.conditioning for run in runs]
    if other := [each for each in told if each != told[0]]:
        raise ValueError(f"run must name runs with the same conditions with shares, got {told[0]} and {other[0]}")


class Ensemble:
    """The samples 0 to `num` - 1 of several runs. Sample i is the one that its run alone draws for i.

    Every run draws every sample, of which those that are its own are taken: so none depends on what others its batch
    holds, and what a run has drawn for an evaluation of its own is not drawn again.

    Args:
        runs: The runs, all of one shape and the same conditions.
        shares: How often each is drawn from, above 0.
        sampler: Changes of the runs' own samplers, or one for all; None for their own.
        num: Number of samples.
        seed: Seed of their noise and of the choice of runs.
        batch_size: Samples drawn at a time.
        device: Where they are drawn.
        told: Split whose conditions they are drawn under; None for that of every run's own evaluations.

    Raises:
        ValueError: the runs do not go together, or a sampler does not draw from one.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        shares: Sequence[float],
        sampler: DictConfig | None,
        num: int,
        seed: int,
        batch_size: int,
        device: torch.device,
        told: Split | None = None,
    ) -> None:
        require_ensemble(runs, shares)
        self.runs, self.shares, self.num, self.seed = list(runs), list(shares), num, seed
        nodes = [checked_sampler(run.config, sampler, "evaluate") for run in runs]
        for run, node in zip(runs, nodes, strict=True):
            require_drawable(run.model, node)
        self.samples = [
            Samples(run, node, num, seed, batch_size, device, told=told) for run, node in zip(runs, nodes, strict=True)
        ]
        self._given = [
            each.conditions.of(range(num)).get("label") if each.conditions else None for each in self.samples
        ]
        self.group, self.dealing = dealt(num, self._labels())

    def _labels(self) -> Tensor | None:
        if any(label is None for label in self._given):
            return None
        return torch.stack(self._given)[members(range(self.num), self.seed, self.shares), torch.arange(self.num)]

    @property
    def described(self) -> str:
        """Share, run, digest of its weights and sampler of every member, in one line."""
        total = sum(self.shares)
        told = [
            f"{share / total:.6g} of {run.folder.record['id']}@{run.digest[:12]} by {each.described}"
            for share, run, each in zip(self.shares, self.runs, self.samples, strict=True)
        ]
        return f"Ensemble({'; '.join(told)})"

    def batches(self, advance: Callable[[float], None] = lambda count: None) -> Iterator[Batch]:
        """The samples with `image`, `index`, `group` and, of conditional models, `label`."""
        for parts in zip(*(each.batches() for each in self.samples), strict=True):
            index = parts[0]["index"].tolist()
            chosen = members(index, self.seed, self.shares).to(parts[0]["image"].device)
            row = torch.arange(len(index), device=chosen.device)
            batch = {
                name: torch.stack([part[name] for part in parts])[chosen.to(value.device), row.to(value.device)]
                for name, value in parts[0].items()
                if name != "group"
            }
            yield {**batch, "group": self.group[index[0] : index[-1] + 1]}
            advance(len(index))

    @property
    def subject(self) -> Tree:
        """The members, for a record."""
        return {"ensemble": self.described, "runs": [run.folder.record["id"] for run in self.runs]}


def sample_ensemble(config: DictConfig, runs: Sequence[Run]) -> Path:
    """Draw from several runs as one: a grid, every image, and a record of who made which.

    Args:
        config: The configuration of `genexp sample`.
        runs: The runs.

    Raises:
        ValueError: the runs do not go together, or a sampler does not draw from one.
    """
    from genexp.inference.saving import save_each, save_grid
    from genexp.tensors import Grid

    shares = list(config.shares)
    require_ensemble(runs, shares)
    nodes = [checked_sampler(run.config, config.get("sampler"), "sample") for run in runs]
    told = {} if config.label is None else {"label": config.label}
    for run, node in zip(runs, nodes, strict=True):
        require_drawable(run.model, node)
    mark = watermark_of(config)
    drawings = [
        Drawing(run, node, config.device, config.seed, config.batch_size, told, watermark=mark)
        for run, node in zip(runs, nodes, strict=True)
    ]
    chosen = members(range(config.num), config.seed, shares)
    images = torch.stack([each.images(config.num) for each in drawings])[chosen, torch.arange(config.num)]
    folder = Path(config.out).resolve() if config.out else runs[0].folder.samples / _name(runs, nodes, config)
    plane = None if drawings[0].is_pictured else drawings[0].plane
    told_of = [_member(*each) for each in zip(runs, shares, nodes, strict=True)]
    origin = origin_of(config, runs)
    record = {"members": told_of, "member": chosen.tolist(), "seed": config.seed, "num": config.num, "condition": told}
    record |= {} if mark is None else {"watermark_in": mark.place}
    with staged(folder, PARTS, RECORD) as partial:
        save_grid(Grid(images, config.columns, plane=plane), partial / "grid.png", origin)
        save_each(images, partial, origin)
        with naming(folder / RECORD):
            (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    return folder


def _name(runs: Sequence[Run], nodes: Sequence[DictConfig], config: DictConfig) -> str:
    """A folder's name, by all that makes these images others than those that were drawn before."""
    of, shares = (run.folder.record["id"][-4:] for run in runs), (f"{share:g}" for share in config.shares)
    label = [] if config.label is None else [f"label{config.label}"]
    how = [f"seed{config.seed}", *dict.fromkeys(map(sampler_label, nodes)), *label]
    return runs[0].name_of(f"ensemble_{'-'.join(of)}", f"shares{'-'.join(shares)}", *how)


def _member(run: Run, share: float, node: DictConfig) -> Tree:
    """A run of an ensemble, for a record."""
    told = {"run": run.folder.record["id"], "digest": run.digest, "weights": run.weights, "share": share}
    return {**told, "sampler": OmegaConf.to_container(node, resolve=True)}
