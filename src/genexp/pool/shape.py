"""What the records of sweeps hold: the types that `genexp.files.json_records` reads them by. Imports no torch."""

from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from genexp.files.json_records import Count, DamagedFile
from genexp.files.trees import Tree
from genexp.runs.record_types import Measured


class StoredJob(TypedDict):
    """A job in `sweep.json`."""

    number: Count
    overrides: list[str]
    folder: str
    state: NotRequired[str]
    value: NotRequired[float | None]
    seconds: NotRequired[Measured]
    cpu_seconds: NotRequired[Measured]
    attempts: NotRequired[Count]
    submitted: NotRequired[str | None]


class SweepRecord(TypedDict):
    """`sweep.json`."""

    id: str
    started: str
    command: list[str]
    signature: NotRequired[str | None]
    jobs: list[StoredJob]


class StudyRecord(TypedDict):
    """`study.json`: which study the trials of a sweep's folder are of."""

    owner: str
    study: str
    storage: str
    plan: NotRequired[Tree]


def require_own_jobs(record: SweepRecord, where: str) -> None:
    """Refuse a record whose jobs are not each a folder of their own in the sweep.

    Raises:
        DamagedFile: with what is wrong.
    """
    known = StoredJob.__required_keys__ | StoredJob.__optional_keys__
    for number, job in enumerate(record["jobs"]):
        if not job.keys() <= known:
            raise DamagedFile(f"{where} must hold jobs of {', '.join(sorted(known))}, got others in job {number}")
        if Path(job["folder"]).is_absolute() or ".." in Path(job["folder"]).parts:
            raise DamagedFile(f"{where} must hold jobs in the sweep, got {job['folder']} as the folder of job {number}")
    for key in ("number", "folder"):
        found = [job[key] for job in record["jobs"]]
        twice = [each for each in found if found.count(each) > 1]
        if twice:
            raise DamagedFile(f"{where} must hold every job once, got {key} {twice[0]} {found.count(twice[0])} times")
