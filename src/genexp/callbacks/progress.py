"""What the terminal shows while a model trains: images, speed, time left; plain lines where there is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from lightning import Callback, Trainer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from genexp.callbacks.cadence import go_on, published
from genexp.callbacks.trainee import Trainee
from genexp.terminal import console, duration


class ImageProgress(Callback):
    """A progress bar over images seen, with images per second; one line every `plain_every` seconds without a terminal.

    The display is refreshed at most every `refresh` seconds, so that it costs nothing a step.

    Args:
        images: Length of training in images.
        refresh: Seconds between two updates of the bar.
        plain_every: Seconds between two lines where output is not a terminal.
        name: What is going on.
        unit: What an image seen is called.
    """

    def __init__(
        self,
        images: int,
        refresh: float = 0.25,
        plain_every: float = 10.0,
        name: str = "train",
        unit: str = "images",
    ) -> None:
        self.images = images
        self.refresh, self.plain_every = refresh, plain_every
        self.name, self.unit = name, unit
        self.images_per_second = 0.0
        self.seconds_training = 0.0
        self._progress: Progress | None = None
        self._next = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Open the bar on rank zero."""
        self._first, self._begun, self._paused = pl_module.images_seen, time.monotonic(), 0.0
        self._next = self._begun + (self.refresh if self._terminal() else self.plain_every)
        if not trainer.is_global_zero:
            return
        if self._terminal():
            self._progress = Progress(
                TextColumn("{task.description}", style="bold", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn(f"{{task.completed:,.0f}} / {{task.total:,.0f}} {self.unit}", markup=False),
                TextColumn("{task.fields[speed]}", markup=False),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console(sys.stderr),
                transient=True,
                auto_refresh=False,
            )
            self._progress.start()
            self._task = self._progress.add_task(self.name, total=self.images, speed="", note="")

    def on_train_batch_end(self, trainer: Trainer, pl_module: Trainee, *_: object) -> None:
        """Refresh when it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._measure(pl_module, now)
        if trainer.is_global_zero:
            self._show(trainer, pl_module)
        self._next = now + (self.refresh if self._progress else self.plain_every)

    def on_validation_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Keep the time of evaluations out of the training speed."""
        self._evaluating_since = time.monotonic()
        if self._progress:
            self._progress.update(self._task, note="evaluating", refresh=True)

    def on_validation_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Resume the clock; print the evaluation's values where there is no bar."""
        if trainer.sanity_checking:
            return
        self._paused += time.monotonic() - self._evaluating_since
        self._measure(pl_module, time.monotonic())
        if trainer.is_global_zero:
            self._show(trainer, pl_module)
            values = {k: v for k, v in published(trainer).items() if not k.startswith("train/")}
            line = "  ".join(f"{name} {value:.4g}" for name, value in sorted(values.items()))
            self._say(f"evaluation at {pl_module.images_seen:,} images  {line}")

    @contextmanager
    def part(self, title: str, total: int, line: str | None) -> Iterator[Callable[[float], None]]:
        """Progress over a part of an evaluation: in a bar below that of the training, else nothing but a line before.

        Args:
            title: Heads the bar.
            total: Images of the part.
            line: What is said first where there is no bar.

        Yields:
            A function to be called with the number of images that have just been done.
        """
        if self._progress is None:
            if line is not None:
                self._say(line)
            yield lambda images: None
            return
        task = self._progress.add_task(title, total=total, speed="", note="")
        try:
            yield lambda images: self._progress.advance(task, images)
        finally:
            if self._progress is not None:
                self._progress.remove_task(task)

    def _measure(self, pl_module: Trainee, now: float) -> None:
        self.seconds_training = max(now - self._begun - self._paused, 1e-9)
        self.images_per_second = (pl_module.images_seen - self._first) / self.seconds_training

    def _show(self, trainer: Trainer, pl_module: Trainee) -> None:
        seen, speed = pl_module.images_seen, self.images_per_second
        rate = f"{speed:,.{0 if speed >= 10 else 1}f} {self.unit}/s"
        if self._progress:
            self._progress.update(self._task, completed=seen, speed=rate, note="", refresh=True)
            return
        left = max(0, self.images - seen) / speed if speed else float("inf")
        self._say(f"{self.name}  {seen:,} / {self.images:,} {self.unit}  {rate}  {duration(left)} left")

    def _say(self, line: str) -> None:
        if self._progress:
            self._progress.console.print(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def on_train_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: Trainee, exception: BaseException) -> None:
        """Close the bar, so that the error stands on a clean line."""
        self._close()

    def _close(self) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None

    @staticmethod
    def _terminal() -> bool:
        return sys.stderr.isatty()


@contextmanager
def shown(trainer: Trainer, title: str, total: int, line: str | None = None) -> Iterator[Callable[[float], None]]:
    """Progress over images that are drawn within an evaluation, on rank zero, see `ImageProgress.part`.

    Yields:
        A function to be called with the number of images that have just been done; it raises where the run has been
        asked to end, so that a long evaluation does not keep it.
    """
    bars = [each for each in trainer.callbacks if isinstance(each, ImageProgress) and trainer.is_global_zero]
    with bars[0].part(title, total, line) if bars else nullcontext(lambda images: None) as advance:

        def advanced(images: float) -> None:
            go_on(trainer)
            advance(images)

        yield advanced
