"""A callback for jobs started through the command line: every rank writes down what it is."""

import hashlib
import json
import os
from pathlib import Path

import torch
from lightning import Callback


class RankSpy(Callback):
    """Writes `rank_<number>.json` into the run folder when training ends."""

    def on_train_end(self, trainer, pl_module):
        weights = b"".join(value.numpy().tobytes() for value in pl_module.state_dict().values())
        seen = {
            "world_size": trainer.world_size,
            "weights": hashlib.sha256(weights).hexdigest(),
            "threads": torch.get_num_threads(),
            "slurm": os.environ.get("SLURM_NTASKS"),
            "cannot_use_cuda": torch.cuda._is_in_bad_fork(),
            "pid": os.getpid(),
        }
        folder = Path(os.environ["GENEXP_RUN_DIR"])
        (folder / f"rank_{trainer.global_rank}.json").write_text(json.dumps(seen))
