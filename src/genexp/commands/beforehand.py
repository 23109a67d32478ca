"""What a command would refuse as it begins, asked without doing anything, for `genexp validate`. Imports no torch."""

from collections.abc import Callable

from omegaconf import DictConfig, OmegaConf

from genexp.config.messages import told
from genexp.config.problems import InvalidConfig


def refused_beforehand(name: str, config: DictConfig) -> list[str]:
    """What is wrong with the runs, files and folders that a sound configuration names, in lines.

    Args:
        name: The command.
        config: Its composed configuration.
    """
    check = _CHECKS.get(name)
    try:
        if check is not None:
            check(config)
    except InvalidConfig as error:
        return [str(problem) for problem in error.problems]
    except Exception as error:
        line = told(error)
        if line is None:
            raise
        return [line]
    return []


def unread(name: str, config: DictConfig) -> str | None:
    """What the command alone reads, so that it may still refuse it; None where it is all seen."""
    if name == "train":
        return "the checkpoint that is resumed" if config.get("resume") else None
    return UNREAD.get(name)


UNREAD = {
    "sample": "the run's weights and data",
    "evaluate": "weights, data and images",
    "compare": "the runs",
    "reproduce": "the configurations of the jobs, which plan=true composes",
    "stylize": "the pictures",
    "restore": "the run's weights and the pictures behind their headers",
    "play": "the runs' weights",
    "augment": "the run's weights and data",
    "export": "the run's weights, and what is made of the written files",
    "import": "the weights, and the hub",
}
"""What validate leaves unread, by command."""


def _sample(config: DictConfig) -> None:
    from genexp.commands.sample import prepared, typed_conditions
    from genexp.commands.sample_several import opened, require_stages
    from genexp.inference.ensemble import require_ensemble
    from genexp.inference.refining import settle_several
    from genexp.inference.soup import soup_of
    from genexp.inference.untrained_run import untrained

    settle_several(config)
    runs = [untrained(run) for run in opened(config)]
    if config.soup is not None:
        prepared(config, soup_of(config, runs), "cpu")
    elif config.shares is not None:
        require_ensemble(runs, list(config.shares))
    elif OmegaConf.is_list(config.run):
        require_stages(config, runs, typed_conditions(config))
    else:
        prepared(config, runs[0], "cpu")


def _evaluate(config: DictConfig) -> None:
    from genexp.commands.evaluate import require_one_side
    from genexp.inference import links, prepare
    from genexp.inference.cascade import stages_of
    from genexp.inference.ensemble import require_ensemble
    from genexp.inference.image_sets import require_image_set
    from genexp.inference.model_metrics import metrics_of_model
    from genexp.inference.paired_evaluation import maps_images, require_options_of_pairs
    from genexp.inference.refining import settle_several
    from genexp.inference.several import require_of_images
    from genexp.inference.soup import soup_of
    from genexp.inference.untrained_run import untrained

    require_one_side(config)
    for key in ("generated", "reference", "floor"):
        if config[key] is not None and (key, config[key]) != ("floor", "auto"):
            require_image_set(str(config[key]), config.run is not None, key)
    if config.self_check:
        return
    if config.run is None:
        prepare.reference_text(config, None)
        prepare.require_named(config.metrics or {})
        return
    settle_several(config)
    runs = [untrained(run) for run in prepare.opened_runs(config)]
    if config.soup is not None:
        runs = [soup_of(config, runs)]
    if any(maps_images(run) for run in runs):
        require_options_of_pairs(config, runs)
        return
    prepare.require_named(config.metrics or {})
    if config.shares is not None:
        require_ensemble(runs, list(config.shares))
        require_of_images(config, runs[-1])
    elif config.after is not None or links.follows(runs):
        stages_of(runs, config.get("sampler"), {}, config.seed, "evaluate")
        runs = runs[-1:]
        require_of_images(config, runs[-1])
    of_model = metrics_of_model(config, runs)
    if not of_model or len(of_model) < len(config.metrics):
        prepare.require_drawable_runs(config, runs)


def _compare(config: DictConfig) -> None:
    from genexp.commands.compare import patterns_of
    from genexp.runs.find import find_run_folders

    if not find_run_folders(patterns := patterns_of(config)):
        raise FileNotFoundError(f"runs must lead to at least one run, got {', '.join(patterns)}")


def _reproduce(config: DictConfig) -> None:
    from genexp.ablations.plan import make_plan
    from genexp.commands.reproduce import ablations_of

    for _, ablation in ablations_of(config):
        make_plan(ablation, [str(each) for each in config.train])


def _stylize(config: DictConfig) -> None:
    from genexp.commands.stylize import required_job, required_pictures

    required_pictures(config)
    required_job(config)


def _restore(config: DictConfig) -> None:
    from genexp.commands.restore import require_named, require_work, runs_of
    from genexp.inference.published import published_restoration
    from genexp.inference.restoring import planned
    from genexp.inference.untrained_run import untrained

    require_named(config)
    work = planned(config.input, config.out, config.degrade)
    if config.published is not None:
        require_work(config, work, published_restoration(config.published))
        return
    require_work(config, work, *(untrained(run).model for run in runs_of(config)))


def _play(config: DictConfig) -> None:
    from genexp.commands.play import require_runs
    from genexp.config.compose import several
    from genexp.inference.run import load_run

    require_runs(config)
    for each in several(config.run):
        load_run(each, config.weights, config.checkpoint, config.trust)


def _augment(config: DictConfig) -> None:
    from genexp.commands.augment import required_place
    from genexp.inference.augmenting import Augmenting
    from genexp.inference.run import load_run
    from genexp.inference.untrained_run import untrained

    required_place(config)
    Augmenting(untrained(load_run(config.run, config.weights, config.checkpoint, config.trust)), config)


def _export(config: DictConfig) -> None:
    from genexp.commands.export import opened, required_place
    from genexp.inference.exporting import FORMATS
    from genexp.inference.exporting.card import Release
    from genexp.inference.hub_repositories import require_name
    from genexp.inference.untrained_run import untrained

    required_place(config)
    if config.push is not None:
        require_name("push", config.push)
    FORMATS[config.format](untrained(opened(config)), config, Release())


def _import(config: DictConfig) -> None:
    from genexp.inference.importing.imported import planned, require_source

    require_source(config)
    if config.hub is None:  # what is on the hub is read by the command alone
        planned(config)


_CHECKS: dict[str, Callable[[DictConfig], None]] = {
    "sample": _sample,
    "evaluate": _evaluate,
    "compare": _compare,
    "reproduce": _reproduce,
    "stylize": _stylize,
    "restore": _restore,
    "play": _play,
    "augment": _augment,
    "export": _export,
    "import": _import,
}
