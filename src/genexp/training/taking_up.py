"""A run that is continued: what changes, and the moment from which its folder says so. Imports no torch."""

import hashlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from genexp.config.compose import config_digest
from genexp.config.keys import flat, is_volatile
from genexp.files.changing import write_together
from genexp.files.trees import Tree
from genexp.runs.evaluations import rewind_evaluations
from genexp.runs.records import read_overrides
from genexp.runs.run_folder import JOURNAL, OVERRIDES, RECORD, RunFolder
from genexp.runs.staging import clear_partials
from genexp.runs.trust import seal, wrote_run


@dataclass(frozen=True)
class ClaimedRun:
    """The folder that a process trains in, and what it continues there.

    Attributes:
        folder: The run.
        checkpoint: The checkpoint to continue from, or None.
        before: The configuration that a continued run was trained with so far, as plain containers; None for a new run.
        is_further: Whether another process of the run, rank zero, writes the records.
        resumed: How often it had been continued before.
    """

    folder: RunFolder
    checkpoint: Path | None = None
    before: Tree | None = None
    is_further: bool = False
    resumed: int = 0

    @property
    def taken_up(self) -> bool:
        """Whether the folder says that this run trains, whichever of its processes wrote that."""
        return self.is_new or (not self.is_further and self.folder.record.get("resumed", 0) > self.resumed)

    @property
    def is_new(self) -> bool:
        """Whether this process began the run."""
        return self.before is None and not self.is_further

    def changed(self, plain: Tree) -> dict[str, list[Any]]:
        """The keys that matter to the result and differ from before, each with its old and new value.

        Args:
            plain: The resolved configuration.
        """
        if self.before is None:
            return {}
        before, now = flat(self.before), flat(plain)
        return {
            key: [before.get(key), now.get(key)]
            for key in sorted(before.keys() | now.keys())
            if before.get(key) != now.get(key) and not is_volatile(key)
        }

    def has_nothing_left(self, plain: Tree) -> bool:
        """Whether the run has finished as many images as are asked for, nothing that matters differs, and it is to go
        on from where it ended.

        Args:
            plain: The resolved configuration.
        """
        ended = self.checkpoint == self.folder.last and self.folder.record.get("state") == "finished"
        if self.is_new or not ended:
            return False
        known = replace(self, before=self.folder.config) if self.before is None else self
        seen = self.folder.metrics.get("images_seen", 0)
        return seen >= plain["training"]["max_images"] and not known.changed(plain)

    def take_up(self, plain: Tree) -> None:
        """Record that the run is continued, and with which values other than before: all of it or nothing.

        That holds for a kill too: all three records change at one moment (`genexp.files.changing`).

        Called once everything else has succeeded. A run that was changed on its way is none of either configuration,
        so neither `resume=auto` nor an ablation takes it for one.

        Args:
            plain: The resolved configuration.
        """
        if self.before is None:
            return
        changed, record, typed = self.changed(plain), self.folder.record, typed_overrides()
        for key, (old, new) in changed.items():
            print(f"changed     {key}: {old} -> {new}", file=sys.stderr)
        earlier = record.get("changed") or {}
        record |= {"state": "running", "resumed": record.get("resumed", 0) + 1}
        record |= {"group": plain["group"], "tags": plain["tags"]}
        record["changed"] = earlier | {key: [earlier.get(key, pair)[0], pair[1]] for key, pair in changed.items()}
        if changed:
            record["config_digest"] = _mixed(record.get("config_digest"), config_digest(plain))
        config = _yaml(plain)
        files = {self.folder.config_path.name: config}
        if typed or wrote_run(record, self.folder.path):
            signed = typed or read_overrides(self.folder.path)  # without a command nothing was typed
            record["seal"] = seal(record["id"], signed, record.get("seal"), config)
            files[OVERRIDES] = _yaml(signed)
        write_together(self.folder.path, {RECORD: json.dumps(record, indent=2) + "\n"} | files)
        clear_partials(self.folder)
        if self.checkpoint is None:
            _forget(self.folder)


def typed_overrides() -> list[str]:
    """The overrides of the command that is running."""
    from hydra.core.hydra_config import HydraConfig

    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def _forget(folder: RunFolder) -> None:
    """Remove what a run had logged that begins anew because it had not come to a checkpoint."""
    rewind_evaluations(folder, lambda images_seen: False)
    for path in (folder.path / JOURNAL, *folder.samples.rglob("*.png")):
        path.unlink(missing_ok=True)


def _yaml(content: Tree | list[Any]) -> str:
    return OmegaConf.to_yaml(OmegaConf.create(content))


def _mixed(before: object, now: str) -> str:
    return hashlib.sha256(f"{before} then {now}".encode()).hexdigest()[:12]
