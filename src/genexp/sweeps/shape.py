"""What `sweep.json` must look like to be read. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def require_shape(record: Any, known: Mapping[str, Any]) -> None:
    """Refuse JSON that is none that a sweep writes.

    Args:
        record: What stands in the file.
        known: The keys of a job with the types of their values.

    Raises:
        ValueError: with what is wrong.
    """
    if not isinstance(record, dict):
        raise ValueError(f"it must hold an object, got {type(record).__name__}")
    for key, kind in {"id": str, "started": str, "command": list, "jobs": list}.items():
        if not isinstance(record.get(key), kind):
            raise ValueError(f"{key} must be a {kind.__name__}, got {type(record.get(key)).__name__}")
    if not all(isinstance(each, str) for each in record["command"]):
        raise ValueError("command must hold texts")
    for number, job in enumerate(record["jobs"]):
        if not isinstance(job, dict) or not {"number", "overrides", "folder"} <= job.keys() <= known.keys():
            raise ValueError(f"job {number} must have the keys of a job ({', '.join(known)})")
        texts = isinstance(job["overrides"], list) and all(isinstance(each, str) for each in job["overrides"])
        if not texts or any(not isinstance(job[key], known[key]) for key in job.keys() - {"overrides"}):
            raise ValueError(f"job {number} must have a number, texts as overrides, a folder, and numbers as values")
        if Path(job["folder"]).is_absolute() or ".." in Path(job["folder"]).parts:
            raise ValueError(f"job {number} must lie in the sweep, got {job['folder']}")
