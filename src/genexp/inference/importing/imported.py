"""A run folder around weights that were trained elsewhere."""

import hashlib
import time
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from genexp.callbacks.checkpoint_contents import restore
from genexp.config.check import composed_of
from genexp.config.compose import config_digest
from genexp.config.instantiate import build
from genexp.config.trained_parts import trained_parts
from genexp.config.validation import require_valid
from genexp.families.diffusion import Diffusion
from genexp.files.ids import new_run_id
from genexp.files.trees import State, Tree
from genexp.files.writing import write_atomically
from genexp.inference.hub_repositories import pulled, require_name
from genexp.inference.importing.diffusers_folder import PIPELINES, PipelineFolder
from genexp.inference.importing.pipelines import OpenedFolder, Pipeline
from genexp.inference.importing.stable_diffusion import STABLE_DIFFUSION, StableDiffusionPipelineFolder
from genexp.runs.provenance import command_line, provenance
from genexp.runs.run_folder import OVERRIDES, RunFolder, run_path
from genexp.runs.trust import seal
from genexp.training.settle import settled


class Import:
    """A pipeline of diffusers as a run that is finished, of no images seen.

    Args:
        pipeline: The folder.
        typed: Further overrides of `genexp train`: the data, the sampler.
        name: Name of the run, or None for that of the folder.
        hub: The repository of the hub that the folder was fetched from, for the run's record; None for none.

    Raises:
        InvalidConfig: an override is wrong.
        ValueError: images of the data have another shape, or the model has no counterpart here.
    """

    def __init__(self, pipeline: Pipeline, typed: list[str], name: str | None = None, hub: str | None = None) -> None:
        size = [] if any(each.startswith("data.image_size=") for each in typed) else [pipeline.shape[1]]
        sized = [f"data.image_size={each}" for each in size]
        self.pipeline, self.hub = pipeline, hub
        self.overrides = [*pipeline.overrides(), *typed, *sized, f"name={name or pipeline.path.name}"]
        whole = composed_of("train", self.overrides, typed)
        chosen = whole.hydra.runtime.choices
        self.choices = {str(key): str(value) for key, value in chosen.items() if value and "hydra/" not in str(key)}
        self.config = OmegaConf.masked_copy(whole, [key for key in whole if key != "hydra"])
        found = tuple(self.config.data.shape)
        if found != pipeline.shape:
            raise ValueError(
                f"train must name data of the model's {pipeline.shape}, got {found}; train=[data=<name>,...]"
            )
        require_valid(self.config)

    def model(self) -> Diffusion:
        """The model with the weights of the folder.

        Raises:
            ValueError: the network computes something that ours does not, or a weight is missing.
        """
        model = build(self.config.model)
        self.pipeline.fill(model)
        return model

    def write(self) -> RunFolder:
        """Write the run's folder."""
        model, plain = self.model(), settled(self.config)
        config, run_id = OmegaConf.to_yaml(OmegaConf.create(plain)), new_run_id()
        record = self._record(run_id, plain, config)
        folder = RunFolder.claim(_place(plain, run_id), record)
        write_atomically(folder.path / OVERRIDES, OmegaConf.to_yaml(OmegaConf.create(self.overrides)))
        write_atomically(folder.config_path, config)
        checkpoint: State = {"state_dict": model.state_dict()}
        model.on_save_checkpoint(checkpoint)
        torch.save(checkpoint, folder.last)
        restore(build(self.config.model), checkpoint, folder.last)
        folder.write_metrics({**checkpoint["counters"], "seconds": 0.0, "values": {}, "protocols": {}})
        return folder

    def _record(self, run_id: str, plain: Tree, config: str) -> Tree:
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        digest = hashlib.sha256(self.pipeline.weights.read_bytes()).hexdigest()
        imported = {"folder": str(self.pipeline.path), "digest": digest}
        imported |= {} if self.hub is None else {"hub": self.hub}
        return {
            "id": run_id,
            "name": plain["name"],
            "state": "finished",
            "started": now,
            "finished": now,
            "command": command_line(),
            "group": plain["group"],
            "tags": plain["tags"],
            "choices": self.choices,
            "parts": {**trained_parts(plain), "imported": imported},
            "config_digest": config_digest(plain),
            "seal": seal(run_id, self.overrides, config=config),
            **provenance(),
        }


def _place(plain: Tree, run_id: str) -> Path:
    if plain["run_dir"]:
        return Path(plain["run_dir"]).expanduser().resolve()
    return run_path(Path(plain["paths"]["outputs"]), plain["name"], run_id)


def planned(config: DictConfig) -> Import:
    """What `genexp import` is asked for, with everything but the weights read; a repository of the hub is fetched.

    Raises:
        ValueError: no folder is named, or one that cannot be imported, or no repository of the hub.
        FileNotFoundError: it is not there, or lacks a file.
        ConnectionError: the hub does not answer.
    """
    require_source(config)
    typed = [str(each) for each in config.train]
    if config.hub is None:
        return Import(_pipeline(config.folder), typed, config.name)
    place = pulled(config.hub, config.revision, Path(config.paths.data).expanduser().resolve())
    name = config.name or config.hub.rpartition("/")[2]
    return Import(_pipeline(str(place)), typed, name, f"{config.hub}@{place.name.rpartition('@')[2]}")


def require_source(config: DictConfig) -> None:
    """Raise ValueError unless `genexp import` is told one place, a folder or a repository of the hub."""
    if (config.folder is None) == (config.hub is None):
        told = "got neither" if config.folder is None else f"got {config.folder} and {config.hub}"
        raise ValueError(f"folder must name a folder that diffusers has saved, or hub a repository of the hub, {told}")
    if config.hub is not None:
        require_name("hub", config.hub)
    elif config.revision is not None:
        raise ValueError(f"revision must be null without hub, got {config.revision}")


def _pipeline(path: str) -> Pipeline:
    """The reader of a folder.

    Raises:
        ValueError: it is of another pipeline, or a file cannot be read.
        FileNotFoundError: it is not there, or lacks a file.
    """
    opened = OpenedFolder(path)
    if opened.kind == STABLE_DIFFUSION:
        return StableDiffusionPipelineFolder(opened)
    if opened.kind in PIPELINES:
        return PipelineFolder(opened)
    known = ", ".join(PIPELINES)
    raise ValueError(f"folder must be of {known} or {STABLE_DIFFUSION}, got {opened.kind} in {opened.path}")
