"""The study itself: where it is kept, who may join it, and how many of its trials are used up."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from genexp.config.addresses import without_password
from genexp.files.json_records import DamagedFile, is_there, read_text, reason_of
from genexp.files.trees import Tree
from genexp.sweeps.study.fixed import difference
from genexp.sweeps.study.samplers import label
from genexp.sweeps.study.study_plan import SearchPlan

JOURNAL = "study.journal"
PLAN, FIXED, SURPLUS = "plan", "fixed", "surplus"
PATIENCE = 60.0
"""Seconds that a process waits for the one that has begun a study to fill it."""


def open_storage(given: str | None, folder: Path | None) -> tuple[BaseStorage, str]:
    """The storage of `hydra.sweeper.storage`, and its address without a password.

    Args:
        given: A database's URL, the path of a journal, or None for a journal in the sweep's folder.
        folder: The sweep's folder; None where `given` is a storage.

    Raises:
        ValueError: the database cannot be reached.
        DamagedFile: the journal is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if given is None or "://" not in given:
        path = folder / JOURNAL if given is None else Path(given).expanduser().resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        _require_sound(path)
        return JournalStorage(JournalFileBackend(str(path))), str(path)
    from sqlalchemy import exc, make_url

    try:
        address = without_password(make_url(given).render_as_string(hide_password=True))
        waiting = {"connect_args": {"timeout": 60}} if given.startswith("sqlite") else {}
        return _connected(given, waiting), address
    except (ImportError, exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        reason = str(error).splitlines()[0].replace(given, "the URL")
        if given.startswith(("postgres:", "postgresql:")):
            reason += "; PostgreSQL's begin with postgresql+psycopg://"
        raise ValueError(f"hydra.sweeper.storage must be a database that can be reached: {reason}") from error


def _connected(given: str, waiting: Tree) -> RDBStorage:
    """A data base's storage; of processes that make its tables in one moment, all but one fail, and find them made."""
    from sqlalchemy import exc

    for _ in range(4):
        try:
            return RDBStorage(given, engine_kwargs=waiting)
        except (exc.IntegrityError, exc.ProgrammingError):
            time.sleep(0.5)
    return RDBStorage(given, engine_kwargs=waiting)


def _require_sound(path: Path) -> None:
    """Refuse a journal in which anything but a torn last line is none of Optuna's."""
    if not is_there(path):
        return
    try:
        lines = read_text(path).splitlines()
        for number, line in enumerate(lines[:-1], 1):
            if not isinstance(json.loads(line), dict):
                raise ValueError(f"line {number} of {len(lines)} holds no object")
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFile(f"the study's journal {path} cannot be read: {reason_of(error)}") from error


def open_study(
    storage: BaseStorage,
    name: str,
    plan: SearchPlan,
    sampler: optuna.samplers.BaseSampler,
    pruner: optuna.pruners.BasePruner | None,
    grid: Sequence[Tree] = (),
    fixed: Tree | None = None,
) -> optuna.Study:
    """Begin a study or join it. The process that begins it states its plan, and puts a grid into it.

    Args:
        storage: Where it is kept.
        name: Its name there.
        plan: What is searched.
        sampler: Chooses values.
        pruner: Ends trials, or None.
        grid: All combinations of values, for a grid.
        fixed: What all jobs have in common, as `fixed_of` gives it.

    Raises:
        ValueError: the study of this name there asks something else.
    """
    pruner = pruner or optuna.pruners.NopPruner()
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            sampler=sampler,
            pruner=pruner,
            directions=list(plan.question.directions),
        )
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=name, sampler=sampler, pruner=pruner)
        _require_same(study, _stated_plan(study), plan, fixed)
        return study
    for values in grid:
        study.enqueue_trial({key: label(value) for key, value in values.items()})
    study.set_user_attr(PLAN, plan.record() | {"grid": bool(grid), FIXED: fixed})
    return study


def _stated_plan(study: optuna.Study) -> Tree:
    deadline = time.monotonic() + PATIENCE
    while PLAN not in study.user_attrs:
        if time.monotonic() > deadline:
            raise ValueError(f"hydra.sweeper.study_name must be a study of genexp, got {study.study_name}")
        time.sleep(0.2)
    return study.user_attrs[PLAN]


def _require_same(study: optuna.Study, stated: Tree, plan: SearchPlan, fixed: Tree | None) -> None:
    mine = plan.record()
    for key, value in mine.items():
        if stated.get(key) != value:
            raise ValueError(
                f"hydra.sweeper.study_name must be new for another question, got {study.study_name}, which has "
                f"{key} {stated.get(key)}, not {value}"
            )
    if fixed is None or stated.get(FIXED) is None:  # begun by an earlier version, which did not say
        return
    if unlike := difference(json.loads(json.dumps(fixed)), stated[FIXED]):
        raise ValueError(
            f"hydra.sweeper.study_name must be new for another question, got {study.study_name}, whose jobs have other "
            f"values: {unlike}"
        )


def used(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that count towards the total: begun, by whatever process, and not given up as surplus."""
    return [each for each in trials if each.state != TrialState.WAITING and SURPLUS not in each.user_attrs]


def ask(study: optuna.Study, distributions: dict[str, BaseDistribution], total: int) -> optuna.Trial | None:
    """A new trial, or None when the study has as many as it should.

    Processes that ask in the same moment may get one too many. Numbers are unique and rise, so all agree which trial
    it is: the one before which `total` others were begun. It is given up, and a combination of a grid put back.
    """
    if len(used(study.get_trials(deepcopy=False))) >= total:
        return None
    trial = study.ask(distributions)
    before = [each for each in used(study.get_trials(deepcopy=False)) if each.number < trial.number]
    if len(before) < total:
        return trial
    trial.set_user_attr(SURPLUS, True)
    study.tell(trial, state=TrialState.FAIL)
    if study.user_attrs[PLAN].get("grid"):
        study.enqueue_trial(trial.params)
    return None
