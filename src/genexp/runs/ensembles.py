"""What several runs score as one: a folder of its own, which a comparison reads like a run's. Imports no torch."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genexp.files.trees import Tree
from genexp.files.writing import write_atomically
from genexp.runs.evaluations import EVALUATE, keep_evaluations
from genexp.runs.records import ENSEMBLE
from genexp.runs.run_folder import RunFolder
from genexp.runs.stored import read_run


def keep_ensemble(
    outputs: Path,
    members: Sequence[tuple[Path, float, str]],
    values: Mapping[str, Mapping[str, Any]],
    subject: Mapping[str, Any],
) -> Path:
    """Add values to the record of an ensemble, which is one folder for the same weights in the same shares.

    Args:
        outputs: The folder of all outputs.
        members: Folder, share and digest of the weights of every run.
        values: The record of every value by its key, see `genexp.evaluation.scores.Score.record`.
        subject: What was measured.

    Returns:
        The folder.
    """
    stored, total = [read_run(path) for path, _, _ in members], sum(share for _, share, _ in members)
    shares = [f"{share / total:.6g}" for _, share, _ in members]
    told = [
        {"run": run.id, "folder": str(path), "share": share, "digest": digest}
        for run, share, (path, _, digest) in zip(stored, shares, members, strict=True)
    ]
    name = "-".join(run.id for run in stored[:4])
    same = [[each["run"], each["share"], each["digest"]] for each in told]
    folder = outputs / "ensembles" / f"{name}_{hashlib.sha256(json.dumps(same).encode()).hexdigest()[:8]}"
    words = ", ".join(f"{each['share']} of {each['run']}" for each in told)
    record = {
        "id": folder.name,
        "name": "ensemble",
        "state": "finished",
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "members": told,
        "settings": _common([run.settings for run in stored]) | {"ensemble": words},
        "choices": _common([run.choices for run in stored]),
    }
    folder.mkdir(parents=True, exist_ok=True)
    keep_evaluations(RunFolder(folder), values, EVALUATE, subject)
    if not (folder / ENSEMBLE).exists():
        write_atomically(folder / ENSEMBLE, json.dumps(record, indent=2) + "\n")
    return folder


def _common(every: Sequence[Mapping[str, Any]]) -> Tree:
    """The entries that all have alike."""
    first, *others = every
    return {key: value for key, value in first.items() if all(key in each and each[key] == value for each in others)}
