"""How far an ablation has come, from its folder alone. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from genexp.ablations.measurement_sweep import values_in
from genexp.ablations.plan import Plan
from genexp.ablations.report.claims_file import CLAIMS, read_claims
from genexp.files.json_records import is_there
from genexp.pool.record import is_finished, recorded_jobs
from genexp.runs.run_folder import RunFolder
from genexp.terminal import duration


@dataclass(frozen=True)
class Status:
    """What is done of an ablation.

    Args:
        name: The ablation.
        scale: Its scale.
        trainings: Finished and wanted models.
        measurements: Finished and wanted sets; None where nothing is drawn.
        seconds: What the finished jobs took together.
        verdicts: Claims by verdict, as the last report has them.
    """

    name: str
    scale: str
    trainings: tuple[int, int]
    measurements: tuple[int, int] | None
    seconds: float
    verdicts: dict[str, int]

    def cells(self) -> tuple[str, ...]:
        """The line of a table."""
        done = [f"{done} of {wanted}" for done, wanted in (self.trainings, self.measurements or (0, 0))]
        claims = ", ".join(f"{count} {verdict}" for verdict, count in self.verdicts.items()) or "not reported yet"
        measured = done[1] if self.measurements else "none needed"
        return self.name, self.scale, done[0], measured, duration(self.seconds), claims


def status_of(plan: Plan, folder: Path) -> Status:
    """Read the folder of an ablation; nothing is locked, so it may be running."""
    ablation, runs, measurements = plan.ablation, folder / "runs", folder / "measurements"
    finished = [job for job in recorded_jobs(runs) if is_finished(RunFolder(runs / job.folder))]
    trained = plan.trained(finished, runs)
    places = {each: (runs / job.folder).resolve() for each, job in trained.items()}
    valued = [job for job in recorded_jobs(measurements) if values_in(measurements / job.folder) is not None]
    measured = plan.measured(valued, places)
    return Status(
        name=ablation.name,
        scale=ablation.scale,
        trainings=(len(trained), len(plan.trainings)),
        measurements=None if ablation.evaluate is None else (len(measured), len(plan.drawings)),
        seconds=sum(job.seconds for job in (*trained.values(), *measured.values())),
        verdicts=_verdicts(folder / CLAIMS),
    )


def _verdicts(path: Path) -> dict[str, int]:
    if not is_there(path):
        return {}
    found = [each["verdict"] for each in read_claims(path)["claims"]]
    return {verdict: found.count(verdict) for verdict in dict.fromkeys(found)}
