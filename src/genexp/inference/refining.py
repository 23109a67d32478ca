"""Several runs in one command: what `after` and `switch_at` mean for its keys `run` and `sampler`."""

import sys

from omegaconf import DictConfig, OmegaConf, open_dict

from genexp.config.compose import several
from genexp.inference.run import Run, load_run
from genexp.inference.sampler_config import sampler_node


def settle_several(config: DictConfig) -> None:
    """Let `run` name all runs that are drawn from one after the other, and the sampler the refiner.

    Args:
        config: The configuration of the command, which is changed.

    Raises:
        ValueError: keys do not go together, see `_settle_refiner`.
        FileNotFoundError: there is no such run.
    """
    count = len(several(config.run)) + len(several(config.after))
    if count > 1 and config.checkpoint not in (None, "best", "last"):
        raise ValueError(f"checkpoint must be best or last with {count} runs, each its own, got {config.checkpoint}")
    others = [key for key in ("shares", "switch_at", "after") if config[key] is not None]
    if config.soup is not None and others:
        raise ValueError(f"{others[0]} must be null with soup, got {config[others[0]]}")
    if config.after is None:
        _settle_refiner(config)
        return
    if config.shares is not None or config.switch_at is not None or not isinstance(config.weights, str):
        raise ValueError(f"after must be null with shares, switch_at or several choices of weights, got {config.after}")
    if len(several(config.run)) != 1:
        raise ValueError(f"after must be null but with one run, which it is before, got {config.after}")
    config.run = [*several(config.after), *several(config.run)]


def _settle_refiner(config: DictConfig) -> None:
    """Let a command of two runs with `switch_at` be one of the first, with a sampler that knows the second.

    Args:
        config: The configuration of the command; its `run` and `sampler` are changed, unless `switch_at` is null.

    Raises:
        ValueError: there are not two runs, or the sampler of the first takes no guidance.
        FileNotFoundError: there is no such run.
    """
    if config.switch_at is None:
        return
    runs = several(config.run)
    if len(runs) != 2 or config.shares is not None or not isinstance(config.weights, str):
        raise ValueError(
            f"switch_at must be null but with two runs, a base and its refiner, without shares and of one choice of "
            f"weights, got {config.switch_at} with {len(runs)}"
        )
    base, refiner = (load_run(run, config.weights, config.checkpoint, config.trust) for run in runs)
    for run, role, share in ((base, "base", 1.0), (refiner, "refiner", config.switch_at)):
        _tell_times(run, role, share)
    node = sampler_node(base.config, config.get("sampler"))
    if "guidance" not in node:
        raise ValueError(f"switch_at must be null for a sampler without guidance, got {node.get('_target_')}")
    part = {"_target_": "genexp.inference.trained.TrainedDenoiser", "run": runs[1], "weights": config.weights}
    part = {**part, **({"checkpoint": config.checkpoint} if config.checkpoint else {})}
    inside = OmegaConf.to_container(node.guidance, resolve=True)
    guidance = {"_target_": "genexp.sampling.refining.Refined", "refiner": part, "switch_at": config.switch_at}
    with open_dict(config):
        config.run, config.sampler = runs[0], OmegaConf.merge(node, {"guidance": None})
        config.sampler.guidance = {**guidance, "inside": inside}


def _tell_times(run: Run, role: str, share: float) -> None:
    """Say of a run that was trained at the least noisy times alone that it is asked at others, a share of all."""
    sampling = run.config.model.get("time_sampling") or {}
    most = sampling.get("most", 1.0) if str(sampling.get("_target_")).endswith(".Below") else 1.0
    if share > most:
        rest = "; switch_at is at most that, and the first run is the base" if role == "refiner" else ""
        told = f"{run.folder.path.name} was trained at {most:.0%} of the times, the least noisy ones"
        print(f"{role:<11} {told}, and draws {share:.0%}{rest}", file=sys.stderr)
