"""Which strategies of Lightning's a run can use."""


def require_safe_strategy(strategy: object, devices: object) -> None:
    """Refuse a strategy that cannot start a run's processes, and several processes a run where jobs share one.

    Raises:
        ValueError: it is one of these.
    """
    if str(strategy).startswith("ddp_spawn"):
        raise ValueError(
            f"strategy must be ddp or ddp_fork, got {strategy}: processes that are spawned are sent all parts of a "
            "run, which no file can hold"
        )
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    alone = str(devices) == "1" and str(strategy) in ("auto", "single_device")
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN and not alone:
        launcher = str(HydraConfig.get().launcher.get("_target_"))
        raise ValueError(
            f"several processes a run in a sweep must use launcher=pool or launcher=slurm, got "
            f"{launcher.rpartition('.')[2]} with strategy={strategy} and devices={devices}: one process for all jobs "
            "keeps the ranks of the first for the next, and its ranks repeat the whole sweep"
        )
