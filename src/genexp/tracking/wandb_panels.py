"""What W&B shows of a comparison: a workspace and a report of the same panels.

Needs the extra `reports`. Imports no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genexp.reports.exports import as_markdown
from genexp.reports.table import Comparison
from genexp.runs.directions import metric_name
from genexp.runs.stored import StoredRun

if TYPE_CHECKING:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

PICTURES = "pictures/samples"
AXIS = "images_seen"
NO_GROUP = "without a group"


@dataclass(frozen=True)
class Place:
    """Where in W&B the compared runs are.

    Args:
        project: The project.
        entity: User or team, or None for the account's own.
    """

    project: str
    entity: str | None


def workspace(comparison: Comparison, place: Place, title: str) -> "ws.Workspace":
    """A view of the project with the compared runs alone: values by group, pictures, settings against values."""
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    keys = value_keys(comparison)
    sections = [
        ws.Section(name="Values", panels=_lines(keys), is_open=True, pinned=True),
        ws.Section(name="Pictures", panels=[_pictures()], is_open=True),
        ws.Section(name="Settings", panels=[_coordinates(comparison)], is_open=True),
    ]
    return ws.Workspace(
        entity=place.entity,
        project=place.project,
        name=title,
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=AXIS, max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=[expr.Metric("ID").isin([run.id for run in comparison.runs])],
            groupby=[ws.Metric("Group")],
            pinned_columns=[f"summary:{key}" for key in keys],
        ),
    )


def report(comparison: Comparison, place: Place, title: str, question: str | None) -> "wr.Report":
    """A report: question, table, value lines of every group, pictures, settings against values."""
    import wandb_workspaces.reports.v2 as wr

    lines, settings = _lines(value_keys(comparison)), _coordinates(comparison)
    blocks = [
        *([wr.P(question)] if question else []),
        wr.H2("Table"),
        wr.MarkdownBlock(as_markdown(comparison)),
        wr.H2("Values"),
        wr.PanelGrid(runsets=_run_sets(comparison), panels=lines),
        wr.H2("Pictures"),
        wr.PanelGrid(runsets=_run_sets(comparison), panels=[_pictures()]),
        wr.H2("Settings"),
        wr.PanelGrid(runsets=_run_sets(comparison), panels=[settings]),
    ]
    about = question or ""
    return wr.Report(place.project, place.entity, title=title, description=about, blocks=blocks, width="fluid")


def by_group(runs: Sequence[StoredRun]) -> dict[str, list[StoredRun]]:
    """Runs by the group in their record, in the order of the runs."""
    found: dict[str, list[StoredRun]] = {}
    for run in runs:
        found.setdefault(str(run.record.get("group") or NO_GROUP), []).append(run)
    return found


def value_keys(comparison: Comparison) -> list[str]:
    """Keys of the compared values as they are logged, each once."""
    return list(dict.fromkeys(each.column.key for each in comparison.columns))


def setting_keys(comparison: Comparison) -> list[str]:
    """For every setting that differs, a key of W&B's config that holds it.

    A choice of a configuration group is no value of the config; the first setting that changes with it stands for it.
    """
    found = []
    for each in comparison.settings:
        settings = (key for key in (each.key, *each.followers) if any(key in row.settings for row in comparison.rows))
        found += [key for key in settings if not key.startswith("evaluation.")][:1]
    return found


def _lines(keys: Sequence[str]) -> "list[wr.LinePlot]":
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.LinePlot(
            title=metric_name(key),
            x=AXIS,
            y=[key],
            title_x="images seen",
            groupby="Group",
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
            max_runs_to_show=100,
        )
        for key in keys
    ]


def _pictures() -> "wr.MediaBrowser":
    import wandb_workspaces.reports.v2 as wr

    return wr.MediaBrowser(title="samples", media_keys=[PICTURES], num_columns=2)


def _coordinates(comparison: Comparison) -> "wr.ParallelCoordinatesPlot":
    """Settings against values, with the better end of every value on top."""
    import wandb_workspaces.reports.v2 as wr

    axis = wr.ParallelCoordinatesPlotColumn
    settings = [axis(wr.Config(key), display_name=key) for key in setting_keys(comparison)]
    lower = {each.column.key for each in comparison.columns if each.better == "lower"}
    values = [
        axis(wr.SummaryMetric(key), display_name=metric_name(key), inverted=key in lower)
        for key in value_keys(comparison)
    ]
    return wr.ParallelCoordinatesPlot(title="settings and values", columns=[*settings, *values])


def _run_sets(comparison: Comparison) -> "list[wr.Runset]":
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces import expr

    return [
        wr.Runset(name=name, filters=[expr.Metric("ID").isin([run.id for run in runs])])
        for name, runs in by_group(comparison.runs).items()
    ]
