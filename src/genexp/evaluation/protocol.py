"""What a number means: everything that has to be equal before two values may stand in one column."""

from dataclasses import asdict, dataclass

OFFICIAL_INCEPTION = "6726825d"
"""First digits of the SHA-256 of the Inception weights of 2015-12-05 in torch-fidelity's format."""


@dataclass(frozen=True)
class Protocol:
    """How a metric's value came about.

    Args:
        metric: The metric's name.
        extractor: Name of the feature extractor.
        extractor_digest: SHA-256 of its weights, or of its definition when it has none.
        resize: How images reach the extractor's size: `none`, `torch_antialias` or `tf1_legacy`.
        quantiser: `uint8` when images pass through 256 levels before features are taken, else `none`.
        reference: The real images: a split's name.
        reference_digest: Digest of their content.
        n_reference: Number of real images.
        n_generated: Number of generated images.
        seed: Seed of the generated images' noise.
        weights: `averaged` or `raw`.
        sampler: The sampler and its settings.
    """

    metric: str
    extractor: str
    extractor_digest: str
    resize: str
    quantiser: str
    reference: str
    reference_digest: str
    n_reference: int
    n_generated: int
    seed: int
    weights: str
    sampler: str

    @property
    def key(self) -> str:
        """Name of a value under this protocol: `fid`, or `<metric>/<extractor>@<eight digits of its digest>`."""
        official = self.extractor == "inception" and self.extractor_digest.startswith(OFFICIAL_INCEPTION)
        if self.metric == "fd" and official and self.resize == "tf1_legacy":
            return "fid"
        return f"{self.metric}/{self.extractor}@{self.extractor_digest[:8]}"

    @property
    def floor_key(self) -> str:
        """The name of the value that held-out real images reach under this protocol."""
        metric, *rest = self.key.split("/", 1)
        return "/".join([f"{metric}_floor", *rest])

    def record(self) -> dict[str, str | int]:
        """All fields as plain values, for JSON."""
        return asdict(self)


def describe(part: object) -> str:
    """A part with its plain settings in one line, such as `DDIM(eta=0.0, steps=20)`."""
    plain = {k: v for k, v in sorted(vars(part).items()) if isinstance(v, bool | int | float | str) and k[0] != "_"}
    return f"{type(part).__name__}({', '.join(f'{name}={value!r}' for name, value in plain.items())})"
