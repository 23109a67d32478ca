"""What pictures that a command writes say of themselves, by its configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from genexp.files.trees import Tree
from genexp.runs.picture_origin import Origin, typed

if TYPE_CHECKING:
    from genexp.inference.run import Run


def origin_of(config: DictConfig, runs: "Sequence[Run]", given: Sequence[Path] = ()) -> Origin | None:
    """The origin of what runs make, the later of what the earlier have made; None where `provenance` is false.

    Args:
        config: The configuration of the command.
        runs: The runs.
        given: Pictures that all results are made of; none where of noise alone.
    """
    if not config.provenance:
        return None
    facts: Tree = {"runs": [_told(member) for run in runs for member in run.members]}
    if (published := config.get("published")) is not None:
        facts["published"] = Path(published).name
    if config.get("watermark") is not None:
        facts["watermark_in"] = config.get("watermark_in", "pixels")
    return Origin({**facts, "seed": config.seed, **typed()}).made_of(given)


def _told(run: "Run") -> Mapping[str, Any]:
    return {"id": run.folder.record["id"], "checkpoint_sha256": run.digest, "weights": run.weights}
