"""What a command checks of its options before anything heavy is imported. Imports no torch."""

from omegaconf import DictConfig

from genexp.runs.find import require_run_folders


def require_first(config: DictConfig, command: str) -> None:
    """Check a command's own options, and that the runs it names are there.

    Raises:
        ValueError: an option is out of range.
        FileNotFoundError: a run is not there.
    """
    from genexp.config.validation import require_options

    require_options(config, command)
    require_run_folders(config.run)
