"""Power-function averages, kept from time to time so that those of other widths can be had after training."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lightning import Callback, Trainer
from safetensors.torch import save
from torch import Tensor

from genexp.callbacks.cadence import crossed
from genexp.callbacks.checkpoint_contents import Averaged
from genexp.callbacks.power_function import decay, gamma_of
from genexp.callbacks.tracked import Tracked, names_of
from genexp.callbacks.trainee import Trainee
from genexp.files.trees import State, Tree
from genexp.files.writing import write_atomically
from genexp.parameters import whole

AVERAGES = "averages"
"""The folder in a run's that snapshots lie in."""


class PowerAverages(Callback):
    """Follow averages of some relative widths, and write a snapshot of them to the run's folder at intervals.

    After an update, average <- beta average + (1 - beta) weights with beta = (images before / images now)^(gamma + 1).
    From the snapshots and a checkpoint `weights=post_hoc@<width>` recovers the average of any other width. Training,
    validation and `weights=averaged` stay as they are. A checkpoint names every snapshot by its digest; one that is
    there is never written again, so checkpoints of two courses of a run share a folder.

    Reference: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models" (2024), section 3.

    Args:
        widths: Relative widths of the averages, each above 0 and at most 0.2886; two recover others well.
        every: Images between two snapshots. Each takes the weights once for every width.
        modules: Names of the sub-modules; by default those that the family declares in `averaged_modules`.

    Raises:
        ValueError: a width is outside its range or there twice, or there is none.
    """

    def __init__(self, widths: Sequence[float], every: int, modules: Sequence[str] | None = None) -> None:
        if not widths or len(set(widths)) < len(widths):
            raise ValueError(f"widths must be one or several different ones, got {list(widths)}")
        try:
            self.gammas = [gamma_of(each) for each in widths]
        except ValueError as error:
            raise ValueError(f"widths must hold what can be one: {error}") from error
        if every <= 0:
            raise ValueError(f"every must be a positive number of images, got {every}")
        self.widths, self.every = [float(each) for each in widths], every
        self.modules = None if modules is None else list(modules)
        self.tracked = [Tracked(buffers=False) for _ in self.widths]
        self.snapshots: list[Tree] = []
        self._seen = 0

    def on_fit_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Start from the first weights, of which the first update leaves nothing, or where a checkpoint left off.

        Raises:
            ValueError: the model has nothing that would be averaged.
        """
        names = names_of(pl_module, self.modules)
        if not names:
            raise ValueError(f"callbacks.post_hoc must be null for {type(pl_module).__name__}, which averages nothing")
        self._seen = pl_module.images_seen
        for each in self.tracked:
            each.begin(pl_module, names)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Trainee, *_: object) -> None:
        """Fold the weights into the averages; on the interval, write a snapshot."""
        names = names_of(pl_module, self.modules)
        for each, gamma in zip(self.tracked, self.gammas, strict=True):
            each.follow(pl_module, names, partial(decay, gamma))
        if crossed(self._seen, pl_module.images_seen, self.every):
            self._write(trainer, pl_module)
        self._seen = pl_module.images_seen

    def _write(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Write the parameters of all averages; ranks have the same, so that the first alone writes."""
        averages = [whole(each.modules) for each in self.tracked]
        if not trainer.is_global_zero:
            return
        pl_module.terms.require_finite()
        content = save(by_name(averages, self.widths))
        digest = hashlib.sha256(content).hexdigest()
        name = f"{pl_module.images_seen:011d}_{digest[:12]}.safetensors"
        path = Path(trainer.default_root_dir) / AVERAGES / name
        path.parent.mkdir(exist_ok=True)
        if not path.is_file():
            write_atomically(path, content)
        self.snapshots.append({"file": name, "digest": digest, "images": dict(self.tracked[0].images)})

    # Checkpoints

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Trainee, checkpoint: State) -> None:
        """Store the averages by their widths, and what snapshots there are, under `post_hoc`."""
        checkpoint["post_hoc"] = {
            "widths": list(self.widths),
            "averages": [each.state() for each in self.tracked],
            "snapshots": [dict(each) for each in self.snapshots],
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: Trainee, checkpoint: State) -> None:
        """Take up the averages that a checkpoint has, which are of the same widths, and what snapshots it names."""
        stored = checkpoint.get("post_hoc")
        if stored is not None:
            for each, state in zip(self.tracked, stored["averages"], strict=True):
                each.load(state)
            self.snapshots = [dict(each) for each in stored["snapshots"]]


def by_name(averages: Sequence[Averaged], widths: Sequence[float]) -> dict[str, Tensor]:
    """Averages of some widths as one flat dictionary, under the names that they have in a snapshot."""
    return {
        stored_name(width, module, name): tensor.detach().cpu().contiguous()
        for width, average in zip(widths, averages, strict=True)
        for module, tensors in average.items()
        for name, tensor in tensors.items()
    }


def stored_name(width: float, module: str, parameter: str) -> str:
    """The name of a parameter of one average in a snapshot."""
    return f"{width!r}/{module}/{parameter}"
