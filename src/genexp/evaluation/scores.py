"""A value that says what it is: the number, the protocol that it was measured under, and the better direction."""

from dataclasses import asdict, dataclass

from genexp.contracts import FeatureExtractor
from genexp.evaluation.dealing import BY_INDEX
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.base import Better, Metric, Value
from genexp.evaluation.protocol import Protocol, describe
from genexp.evaluation.uncertainty import interval
from genexp.files.trees import Tree
from genexp.sample_kinds import kind_of


@dataclass(frozen=True)
class Generated:
    """Where compared images come from: the part of a protocol that says how they were drawn.

    Args:
        n_generated: Number of images.
        seed: Seed of their noise.
        weights: `averaged` or `raw`; `none` for real images.
        sampler: The sampler and its settings, or the split of held-out real images.
        dealing: How they are dealt into groups, `by index` or `within ... classes`.
    """

    n_generated: int
    seed: int
    weights: str
    sampler: str
    dealing: str = BY_INDEX


def described(sampler: object, told: str = "train") -> str:
    """The sampler of a protocol, with the split whose conditions it was told unless that is the training split."""
    return describe(sampler) + ("" if told == "train" else f", told as {told}")


@dataclass(frozen=True)
class Score:
    """A value with the protocol that says what it is.

    Args:
        protocol: How it came about.
        value: The number with its uncertainty.
        better: Whether smaller or larger is better.
    """

    protocol: Protocol
    value: Value
    better: Better

    def record(self, floor: "Score | None" = None) -> Tree:
        """The score as plain values for JSON: value, its interval without the bias of order 1 / n, floor and protocol.

        Args:
            floor: That of held-out real images, if there is one.
        """
        found: Tree = {"value": self.value.value, "better": self.better}
        found |= {"unit": self.value.unit} if self.value.unit else {}
        if self.value.draws:
            without_bias = interval(self.value.draws)
            least, most = self.value.limits
            found |= {
                "extrapolated": without_bias.value,
                "error": without_bias.error,
                "low": min(max(without_bias.low, least), most),
                "high": min(max(without_bias.high, least), most),
                "draws": list(self.value.draws),
            }
        if floor is not None:
            found |= {"floor": floor.value.value, "floor_images": floor.protocol.n_generated}
        found |= {"curve": dict(self.value.curve.columns)} if self.value.curve else {}
        return found | {"details": self.value.details, "protocol": self.protocol.record()}


def protocol_of(
    value_name: str, metric: Metric, extractor: FeatureExtractor, real: ImageSet, generated: Generated
) -> Protocol:
    """What has to be equal before a value may stand beside another one.

    Args:
        value_name: Which of the metric's values.
        metric: The metric.
        extractor: The features that it compares in.
        real: The reference images.
        generated: How the compared images were drawn.
    """
    return Protocol(
        metric=value_name,
        settings=describe(metric),
        extractor=extractor.name,
        extractor_digest=extractor.digest,
        input_size=extractor.image_size or 0,
        resize=extractor.resize,
        quantiser=kind_of(real.shape).quantiser,
        reference=real.name,
        reference_digest=real.digest,
        n_reference=real.count,
        **asdict(generated),
    )
