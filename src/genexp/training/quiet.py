"""What Lightning prints and a run does not need."""

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's start-up lines that say nothing about the run; warnings stay."""
    names = ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning on torch 2.15
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # data are in memory
            warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")  # frozen features
            warnings.filterwarnings("ignore", message=".*all_gather is deprecated.*")  # Lightning on torch 2.15
            warnings.filterwarnings("ignore", message=".*overridden `on_before_batch_transfer`.*")  # style: as is meant
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
