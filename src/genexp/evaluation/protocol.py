"""What a number means: everything that has to be equal before two values may stand in one column."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Self

from genexp.evaluation.dealing import BY_INDEX

OFFICIAL_INCEPTION = "6726825d"
"""First digits of the SHA-256 of the Inception weights of 2015-12-05 in torch-fidelity's format."""

IMAGES = "images"
"""Name of the extractor that hands the images themselves to a metric."""


class DifferentProtocols(ValueError):
    """Values of different protocols were about to be compared."""


@dataclass(frozen=True)
class Protocol:
    """How a metric's value came about.

    Args:
        metric: Name of the value, such as `fd` or `recall`.
        settings: The metric's settings in one line, such as `PrecisionRecall(k=5)`.
        extractor: Name of the feature extractor.
        extractor_digest: SHA-256 of its weights, or of its definition when it has none.
        input_size: Side in pixels that images are brought to for the extractor; 0 if they are left as they are.
        resize: How images reach the extractor's size: `none`, `torch_antialias`, `pil_clean` or `tf1_legacy`.
        quantiser: `uint8` when images pass through 256 levels before features are taken, else `none`.
        reference: The real images: a split's name.
        reference_digest: Digest of their content.
        n_reference: Number of real images.
        n_generated: Number of generated images.
        seed: Seed of the generated images' noise.
        weights: `averaged`, `raw`, or another average, as in `post_hoc@0.1`.
        sampler: The sampler and its settings.
        dealing: How generated images are dealt into the jackknife's groups: `by index` or `within ... classes`. It
            decides what an interval covers, not the value.
    """

    metric: str
    settings: str
    extractor: str
    extractor_digest: str
    input_size: int
    resize: str
    quantiser: str
    reference: str
    reference_digest: str
    n_reference: int
    n_generated: int
    seed: int
    weights: str
    sampler: str
    dealing: str = BY_INDEX

    @property
    def key(self) -> str:
        """Name of a value under this protocol: `<metric>/<extractor>@<eight digits of its digest>`.

        A Fréchet distance over the official Inception weights, resized as in TensorFlow 1, is `fid`. A value taken from
        the images themselves has no suffix.
        """
        official = self.extractor == "inception" and self.extractor_digest.startswith(OFFICIAL_INCEPTION)
        if self.metric == "fd" and official and self.resize == "tf1_legacy":
            return "fid"
        if self.extractor == IMAGES:
            return self.metric
        return f"{self.metric}/{self.extractor}@{self.extractor_digest[:8]}"

    @property
    def floor_key(self) -> str:
        """The name of the value that held-out real images reach under this protocol."""
        metric, *rest = self.key.split("/", 1)
        return "/".join([f"{metric}_floor", *rest])

    def record(self) -> dict[str, str | int]:
        """All fields as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def read(cls, record: dict[str, str | int]) -> Self:
        """The protocol of a record.

        Raises:
            ValueError: a field is missing or unknown.
        """
        known = {field.name for field in fields(cls)}
        if set(record) != known:
            odd = ", ".join(sorted(set(record) ^ known))
            raise ValueError(f"a record must hold the {len(known)} fields of a protocol, got one that differs in {odd}")
        return cls(**record)


FREE = ("seed", "weights", "sampler", "dealing")
"""Fields that say which images were made, and what the interval covers."""


def require_same(protocols: Mapping[str, Protocol], may_differ: Iterable[str] = FREE) -> None:
    """Check that values may stand in one column.

    Args:
        protocols: A protocol for every row.
        may_differ: Fields that say which images were made, not how they were measured.

    Raises:
        MixedProtocols: two rows differ in how they were measured; the field and both values are named.
    """
    rows = list(protocols.items())
    free = set(may_differ)
    for name, protocol in rows[1:]:
        first_name, first = rows[0]
        for field in fields(Protocol):
            ours, theirs = getattr(first, field.name), getattr(protocol, field.name)
            if field.name not in free and ours != theirs:
                raise DifferentProtocols(
                    f"values in one column must share a protocol: {field.name} is {ours} for {first_name} and {theirs} "
                    f"for {name}"
                )


def describe(part: object) -> str:
    """A part with its plain settings in one line, such as `DDIM(eta=0.0, steps=20)`; and with those of its own parts.

    Its own parts are told where they are dataclasses, as in `DDIM(guidance=ClassifierFree(scale=2.0), steps=20)`.
    """
    told = {}
    for name, value in sorted(vars(part).items()):
        if is_dataclass(value):
            told[name] = describe(value)
        elif isinstance(value, bool | int | float | str):
            told[name] = repr(value)
    return f"{type(part).__name__}({', '.join(f'{name}={text}' for name, text in told.items() if name[0] != '_')})"
