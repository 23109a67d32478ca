"""genexp play: a page on this machine to draw from runs, paint and restore pictures."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig

from genexp.commands.first_checks import require_first
from genexp.config.compose import several
from genexp.runs.newest import newest_hint

MOST_RUNS = 4


def play(config: DictConfig) -> None:
    """Serve the page of the runs that `config` names until Ctrl-C or SIGTERM.

    Raises:
        ValueError: no run is named, one can do nothing here, or the port cannot be had.
        FileNotFoundError: there is no such run or checkpoint.
    """
    require_runs(config)

    require_first(config, "play")

    import torch

    from genexp.hardware import chosen_threads
    from genexp.inference.playing.server import HOST, serving
    from genexp.inference.playing.studio import Studio
    from genexp.inference.run import load_run

    torch.set_num_threads(chosen_threads(config.threads))
    runs = [load_run(each, config.weights, config.checkpoint, config.trust) for each in several(config.run)]
    with ended_alike(), tempfile.TemporaryDirectory(prefix="genexp-play-") as folder:
        server = serving(Studio(runs, config.device, Path(folder)), config.port)
        print(f"open        http://{HOST}:{server.server_address[1]}  (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended", file=sys.stderr)
        finally:
            server.server_close()


@contextmanager
def ended_alike() -> Iterator[None]:
    """While this lasts SIGTERM is a Ctrl-C, so that no given picture stays behind in the temporary folder."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def require_runs(config: DictConfig) -> None:
    """Raise ValueError unless one run is named, or a few."""
    named = several(config.run)
    if not named:
        raise ValueError(f"run must name the run to play with, got none; {newest_hint('genexp play')}")
    if len(named) > MOST_RUNS:
        raise ValueError(f"run must name at most {MOST_RUNS} runs side by side, got {len(named)}")
