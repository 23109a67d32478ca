"""One pass of features over a set of images feeds every metric; values come with their protocol and their floor."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.contracts import Batch, FeatureExtractor
from genexp.evaluation.cache import TensorCache
from genexp.evaluation.images import ImageSet, quantised
from genexp.evaluation.metrics.base import Metric, Value
from genexp.evaluation.protocol import Protocol
from genexp.evaluation.scores import Generated, Score, protocol_of
from genexp.evaluation.summaries import OfCaptions, Statistic
from genexp.sample_kinds import kind_of

Summary = dict[str, Statistic]
"""What an evaluation keeps of a set of images: one statistic for every extractor and kind of statistic in use."""


@dataclass(frozen=True)
class Reference:
    """Real images as the metrics see them: their summary, and what each metric has computed from it once."""

    real: ImageSet
    summary: Summary
    prepared: dict[str, object]


class Evaluator:
    """Compares generated with real images by features.

    Images pass through uint8 on their way to the features, as if they had been saved and read again: a number taken
    during training equals that of the files on disk. Points (B, D) are left as they are.

    Args:
        extractor: The features of all metrics that do not bring their own.
        metrics: The metrics by name.
        cache: Where summaries of real images are kept between runs, or None.

    Raises:
        ValueError: two metrics give a value of the same name over the same features.
    """

    def __init__(
        self, extractor: FeatureExtractor, metrics: Mapping[str, Metric], cache: TensorCache | None = None
    ) -> None:
        self.metrics, self.cache = dict(metrics), cache
        self._extractors = {name: metric.extractor or extractor for name, metric in self.metrics.items()}
        self._require_distinct_values()

    def _require_distinct_values(self) -> None:
        owners: dict[tuple[str, str], str] = {}
        for name, metric in self.metrics.items():
            for value in metric.values:
                key = (value, identity(self._extractors[name]))
                if key in owners:
                    raise ValueError(
                        f"metrics must give every value over the same features once, got {value} from {owners[key]} "
                        f"and {name}: evaluate them one after the other"
                    )
                owners[key] = name

    def empty(self) -> Summary:
        """A summary of no images."""
        return {
            self.slot(name): metric.statistic(self._extractors[name].dimensions)
            for name, metric in self.metrics.items()
        }

    def summarise(self, batches: Iterable[Batch], condensed: bool = False) -> Summary:
        """One pass over batches of images in [-1, 1]; images without an `index` are counted from 0.

        Args:
            batches: The images.
            condensed: Whether to keep only what a reference needs.

        Raises:
            ValueError: an extractor refuses the images, or returns something else than finite vectors.
        """
        summary, seen = self.empty(), 0
        if condensed:
            summary = {slot: statistic.condensed() for slot, statistic in summary.items()}
        for batch in batches:
            count = len(batch["image"])
            self.add(summary, {"index": torch.arange(seen, seen + count), **batch})
            seen += count
        return summary

    @torch.no_grad()
    def add(self, summary: Summary, batch: Batch) -> None:
        """Add one batch to a summary: `image` (B, *shape) in [-1, 1], `index` (B,), and what is known of them.

        That is `label`, `group` and `caption`, which the statistic of some metrics needs.
        """
        images = batch["image"]
        seen = quantised(images)
        features: dict[str, Tensor] = {}
        done: set[str] = set()
        for name in self.metrics:
            extractor, slot = self._extractors[name], self.slot(name)
            if slot in done:
                continue
            source = identity(extractor)
            if source not in features:
                with torch.autocast(images.device.type, enabled=False):
                    features[source] = extractor(seen)
            statistic = summary[slot]
            statistic.update(features[source], batch["index"], batch.get("label"), batch.get("group"))
            if isinstance(statistic, OfCaptions):
                statistic.add_captions(batch.get("caption"))
            done.add(slot)

    def summary_of(self, real: ImageSet) -> Summary:
        """The summary of real images, from the cache where it is there.

        Raises:
            ValueError: the set holds another number of images than it declares.
        """
        keys = {slot: self._key(slot, real) for slot in self.empty()}
        if self.cache:
            stored = {slot: self.cache.load(key) for slot, key in keys.items()}
            if all(state is not None for state in stored.values()):
                return {slot: type(empty).from_state(stored[slot]) for slot, empty in self.empty().items()}
        summary = self.summarise(real.batches(), condensed=True)
        for statistic in summary.values():
            if statistic.count != real.count:
                raise ValueError(f"{real.name} must hold {real.count} images as declared, got {statistic.count}")
        for slot, statistic in summary.items():
            if self.cache:
                self.cache.store(keys[slot], statistic.state())
        return summary

    def reference(self, real: ImageSet, num: int | None = None) -> Reference:
        """Summarise real images, or take their summary from the cache, and let the metrics prepare.

        Args:
            real: The real images.
            num: Number of images that will be compared with them, where it is known.

        Raises:
            ValueError: there are fewer images than a metric needs, or another number than the set declares, or a metric
                cannot work with its extractor, or compares pairs and `num` is another number.
        """
        for name, metric in self.metrics.items():
            if metric.kind == "pairs" and num not in (None, real.count):
                raise ValueError(f"{name} compares image i with image i: num must be {real.count}, got {num}")
        summary = self.summary_of(real)
        prepared = {
            name: metric.prepare(summary[self.slot(name)], self._extractors[name])
            for name, metric in self.metrics.items()
        }
        return Reference(real, summary, prepared)

    def values(self, summary: Summary, reference: Reference) -> dict[str, dict[str, Value]]:
        """The values of every metric for a summarised set of images, by the names that the metric gives them."""
        return {name: self._computed(name, summary, reference) for name in self.metrics}

    def floor(self, held_out: ImageSet, reference: Reference, num: int | None = None) -> dict[str, Score]:
        """What other real images score, under the keys of the values; metrics that compare pairs have no floor.

        Args:
            held_out: Real images that are not among those of the reference.
            reference: The reference.
            num: Number of generated images that the floor stands beside: of more held-out ones, so many are
                drawn.
        """
        names = [name for name, metric in self.metrics.items() if metric.kind != "pairs"]
        if not names:
            return {}
        held_out = held_out if num is None else held_out.sample(num)
        generated = Generated(held_out.count, 0, "none", held_out.name)
        return self._scores(names, self.summary_of(held_out), reference, generated)

    def scores(self, summary: Summary, reference: Reference, generated: Generated) -> dict[str, Score]:
        """All values of a summarised set of images under the keys of their protocols."""
        return self._scores(self.metrics, summary, reference, generated)

    def _scores(
        self, names: Iterable[str], summary: Summary, reference: Reference, generated: Generated
    ) -> dict[str, Score]:
        scores = {}
        for name in names:
            values = self._computed(name, summary, reference)
            for value_name, better in self.metrics[name].values.items():
                if value_name not in values:
                    continue
                protocol = self.protocol(name, value_name, reference, generated)
                scores[protocol.key] = Score(protocol, values[value_name], better)
        return scores

    def _computed(self, name: str, summary: Summary, reference: Reference) -> dict[str, Value]:
        return self.metrics[name].compute(summary[self.slot(name)], reference.prepared[name])

    def protocol(self, name: str, value_name: str, reference: Reference, generated: Generated) -> Protocol:
        """The protocol of the value `value_name` of the metric `name`."""
        return protocol_of(value_name, self.metrics[name], self._extractors[name], reference.real, generated)

    def slot(self, name: str) -> str:
        """Where a summary keeps the statistic of the metric `name`."""
        extractor = self._extractors[name]
        return f"{identity(extractor)}/{self.metrics[name].statistic.__name__}"

    def _key(self, slot: str, real: ImageSet) -> dict[str, str | int]:
        return {
            "version": 5,
            "features": slot,
            "quantiser": kind_of(real.shape).quantiser,
            "content": real.digest,
            "count": real.count,
        }


def identity(extractor: FeatureExtractor) -> str:
    """What two extractors share exactly when they give the same features."""
    return f"{extractor.name}@{extractor.digest}@{extractor.resize}"
