"""How a sweep ends when not all is well."""


class JobFailed(RuntimeError):
    """A job of a sweep failed; the others went on."""


class SweepInterrupted(SystemExit):
    """A sweep was asked to end; the exit status is 128 plus the signal's number, as shells have it."""
