"""Whether every unit of a latent stands for one factor of the images, where their factors are known."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from genexp.contracts import Batch, LatentEncoder
from genexp.evaluation.dealing import GROUPS
from genexp.evaluation.jackknife import draws_of_sums, groups_to_leave_out, sizes_of
from genexp.evaluation.latent_models import OfEncoder
from genexp.evaluation.metrics.base import SHARE, Better, Value
from genexp.evaluation.over_model import FACTOR, over_images, require_split


class Disentanglement(OfEncoder):
    r"""`mig`, and `dci_disentanglement`, `dci_completeness` and `dci_informativeness`, all in [0, 1].

    The mutual information gap is the mean over factors of (I(z_1; v) - I(z_2; v)) / H(v), z_1 and z_2 the units that
    know most of the factor v. Latents are the encoder's, cut into `bins` of equal width a unit. DCI fits a forest to
    every factor, with R_jk the share of unit j in telling factor k: a unit is disentangled as far as its row is of low
    entropy, 1 - H_K(R_j / sum), averaged by the units' shares in the whole; a factor is complete as far as its column
    is, 1 - H_D(R_k). Informativeness is the share of images whose level is told by trees that have not seen them.
    Details name every factor's gap and share told. Traps: with few images every unit seems to know something, which
    lowers the gap; a unit that knows two factors leaves the gap as it is; neither is about how images look. DCI has no
    interval: its forests are not fitted anew.

    References: Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders" (2018), section 4;
    Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled Representations" (2018);
    Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations"
    (2019), appendix B, for means in 20 bins.

    Args:
        split: `train`, `val` or `test` of the data that the model learned from.
        bins: Bins of a unit, at least 2.
        trees: Trees of a forest, at least 2.

    Raises:
        ValueError: the split is unknown, or a number is below 2.
    """

    values: ClassVar[dict[str, Better]] = {
        "mig": "higher",
        "dci_disentanglement": "higher",
        "dci_completeness": "higher",
        "dci_informativeness": "higher",
    }

    def __init__(self, split: str = "val", bins: int = 20, trees: int = 20) -> None:
        for name, number in (("bins", bins), ("trees", trees)):
            if number < 2:
                raise ValueError(f"{name} must be at least 2, got {number}")
        self.split, self.bins, self.trees = require_split(split), bins, trees

    @torch.no_grad()
    def compute(self, model: LatentEncoder, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """The four values, with the interval of other held-out images for the gap.

        Raises:
            ValueError: the factors of the images are not known.
        """
        known: dict[str, list[Tensor]] = {}

        def measure(batch: Batch, noise: object) -> Tensor:
            for name in batch:
                if name.startswith(FACTOR):
                    known.setdefault(name.removeprefix(FACTOR), []).append(batch[name].cpu())
            return model.encode(batch["image"]).flatten(1).double()

        latent, group, _ = over_images(batches, seed, measure)
        if not known:
            raise ValueError("disentanglement needs data with known factors, as data=shapes has them")
        return self.compute_factors(latent, {name: torch.cat(parts) for name, parts in known.items()}, group, seed)

    def compute_factors(
        self, latent: Tensor, factors: Mapping[str, Tensor], group: Tensor, seed: int
    ) -> dict[str, Value]:
        """The values from latents (N, D), levels (N,) of every factor, and groups (N,) for the interval."""
        gaps = {name: self._gap(latent, level, group) for name, level in factors.items()}
        members = groups_to_leave_out(group)
        draws = tuple(np.mean([gap.draws for gap in gaps.values()], 0).tolist()) if members else ()
        mean = float(np.mean([gap.value for gap in gaps.values()]))
        told = {f"gap_{name}": gap.value for name, gap in gaps.items()}
        return {"mig": Value(mean, draws, told, SHARE)} | self._dci(latent, factors, seed)

    def _gap(self, latent: Tensor, level: Tensor, group: Tensor) -> Value:
        """The gap of one factor, from counts (D, bins, levels) of every group, which add up."""
        cells = _binned(latent, self.bins)
        counts = torch.zeros(GROUPS, cells.shape[1], self.bins, int(level.max()) + 1, dtype=torch.float64)
        for unit in range(cells.shape[1]):
            counts.index_put_((group, torch.tensor(unit), cells[:, unit], level), counts.new_ones(()), accumulate=True)
        whole, members = counts.sum(0), groups_to_leave_out(group)
        draws = draws_of_sums(whole, counts, _information_gap, sizes_of(members)) if members else ()
        return Value(_information_gap(whole), draws)

    def _dci(self, latent: Tensor, factors: Mapping[str, Tensor], seed: int) -> dict[str, Value]:
        from sklearn.ensemble import RandomForestClassifier

        shares, told = [], {}
        for name, level in factors.items():
            forest = RandomForestClassifier(
                self.trees, max_features=None, bootstrap=True, oob_score=True, random_state=seed % 2**32, n_jobs=1
            ).fit(latent.numpy(), level.numpy())
            shares.append(torch.from_numpy(forest.feature_importances_))
            told[f"told_{name}"] = float(forest.oob_score_)
        importance = torch.stack(shares, 1)
        informative = float(np.mean(list(told.values())))
        return {
            "dci_disentanglement": Value(disentangled(importance), limits=SHARE),
            "dci_completeness": Value(disentangled(importance.T), limits=SHARE),
            "dci_informativeness": Value(informative, details=told, limits=SHARE),
        }


def disentangled(importance: Tensor) -> float:
    """1 - H(row) / log K of the rows of a matrix (D, K), averaged in proportion to their sums; 0 where all are 0."""
    total = importance.sum()
    if importance.shape[1] < 2 or not total > 0:
        return float(importance.shape[1] == 1)
    share = importance / importance.sum(1, keepdim=True).clamp(min=torch.finfo(importance.dtype).tiny)
    entropy = -torch.special.xlogy(share, share).sum(1) / np.log(importance.shape[1])
    return float(((1 - entropy) * importance.sum(1) / total).sum())


def _binned(latent: Tensor, bins: int) -> Tensor:
    """The bin (N, D) of every unit, equally wide between its smallest and largest value; 0 of a constant one."""
    low, high = latent.min(0).values, latent.max(0).values
    width = torch.where(high > low, high - low, 1.0)
    return ((latent - low) / width * bins).long().clamp(max=bins - 1)


def _information_gap(counts: Tensor) -> float:
    """(I of the unit that knows most - I of the next) / H(v) from counts (D, bins, levels); 0 for a constant factor."""
    joint = counts / counts.sum((1, 2), keepdim=True)
    bins, levels = joint.sum(2), joint.sum(1)
    of_level = _entropy(levels)
    information = _entropy(bins) + of_level - _entropy(joint.flatten(1))
    best = torch.cat([information.sort(descending=True).values, information.new_zeros(1)])
    return float((best[0] - best[1]) / of_level[0]) if of_level[0] > 0 else 0.0


def _entropy(share: Tensor) -> Tensor:
    """Nats of every row (R, K)."""
    return -torch.special.xlogy(share, share).sum(1)
