"""Named loss terms, averaged between two log lines without waiting for the device, and watched for NaN and infinity."""

import torch
from torch import Tensor

from genexp.files.trees import Tree


class NonFiniteLoss(FloatingPointError):
    """A loss term became NaN or infinite; carries the term and the batch that produced it."""

    def __init__(self, term: str, batch: int, value: float) -> None:
        super().__init__(f"{term} must stay finite, got {value} at batch {batch}")
        self.term, self.batch, self.value = term, batch, value


class TermLog:
    """Running means of named scalars.

    Terms that arrive together are stacked once, so a step costs two small kernels and no synchronisation; values
    reach the host only in `flush`. The first non-finite value of every term is remembered with its batch.
    """

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], _Group] = {}

    def add(self, terms: dict[str, Tensor], batch: int) -> None:
        """Add one batch's scalars; `batch` is the zero-based number of that batch, for the error message."""
        names = tuple(terms)
        with torch.no_grad():
            values = torch.stack([value.float().reshape(()) for value in terms.values()])
        group = self._groups.get(names)
        if group is None:
            group = self._groups[names] = _Group(values)
        group.add(values, batch)

    def flush(self) -> dict[str, float]:
        """Means since the last flush, on the host; forgets them.

        Raises:
            NonFiniteLoss: a term was NaN or infinite in any batch since the last flush.
        """
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        groups, self._groups = self._groups, {}
        for names, group in groups.items():
            group.require_finite(names)
            for name, total in zip(names, group.total.tolist(), strict=True):
                totals[name] = totals.get(name, 0.0) + total
                counts[name] = counts.get(name, 0) + group.count
        return {name: total / counts[name] for name, total in totals.items()}

    def state(self) -> tuple[list[Tree], Tensor]:
        """The sums since the last flush: names and number of batches of every group, and all totals (terms,)."""
        described = [{"names": list(names), "count": group.count} for names, group in self._groups.items()]
        totals = [group.total for group in self._groups.values()]
        return described, torch.cat(totals) if totals else torch.empty(0)

    def load_state(self, described: list[Tree], totals: Tensor) -> None:
        """Go on with the sums that `state` gave."""
        self._groups = {}
        parts = totals.split([len(each["names"]) for each in described])
        for each, total in zip(described, parts, strict=True):
            group = self._groups[tuple(each["names"])] = _Group(total)
            group.total, group.count = total.clone(), each["count"]

    def require_finite(self) -> None:
        """Raise `NonFiniteLoss` if any term since the last flush was not finite; called before weights are saved."""
        for names, group in self._groups.items():
            group.require_finite(names)


class _Group:
    """Sums of terms that arrive together; of many batches at once it is looked at which were not finite."""

    at_once = 32

    def __init__(self, like: Tensor) -> None:
        self.total = torch.zeros_like(like)
        self.count = 0
        self.bad_row = torch.full_like(like, -1, dtype=torch.int64)
        self.bad_value = torch.zeros_like(like)
        self._batches: list[int] = []
        self._rows: list[Tensor] = []

    def add(self, values: Tensor, batch: int) -> None:
        self.total += values
        self.count += 1
        self._batches.append(batch)
        self._rows.append(values)
        if len(self._rows) == self.at_once:
            self._look()

    def require_finite(self, names: tuple[str, ...]) -> None:
        self._look()
        found = [(self._batches[row], i) for i, row in enumerate(self.bad_row.tolist()) if row >= 0]
        if found:
            batch, i = min(found)
            raise NonFiniteLoss(names[i], batch, float(self.bad_value[i]))

    def _look(self) -> None:
        if not self._rows:
            return
        rows, before = torch.stack(self._rows), len(self._batches) - len(self._rows)
        self._rows = []
        bad = ~torch.isfinite(rows)
        new = bad.any(0) & (self.bad_row < 0)
        first = bad.int().argmax(0)
        self.bad_row = torch.where(new, first + before, self.bad_row)
        self.bad_value = torch.where(new, rows.gather(0, first[None])[0], self.bad_value)
