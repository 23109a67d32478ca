"""Which runs a comparison takes: debug runs and failed ones stay out unless someone asks for them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from genexp.runs.stored import StoredRun
from genexp.terminal import counted

KINDS: dict[str, Callable[[StoredRun], bool]] = {
    "debug": lambda run: run.choices.get("debug", "None") not in ("None", "null"),
    "failed": lambda run: run.state == "failed",
}
"""Words for runs that are left out, with what tells them."""


def without_debug_and_failed(
    runs: Sequence[StoredRun], include: Sequence[str] = (), named: Sequence[Path] = ()
) -> tuple[list[StoredRun], str | None]:
    """The runs that are compared, and a line on those that are not.

    Args:
        runs: All that were found.
        include: Words of `KINDS` whose runs are taken all the same.
        named: Folders that were named themselves, not found below others: they are taken too.

    Raises:
        ValueError: a word is none of `KINDS`, or no run would be left.
    """
    for word in include:
        if word not in KINDS:
            raise ValueError(f"include must hold some of {', '.join(KINDS)}, got {word}")
    out: dict[str, list[StoredRun]] = {}
    kept = []
    for run in runs:
        kinds = [kind for kind, holds in KINDS.items() if holds(run)]
        if set(kinds) <= set(include) or run.folder.path in named:
            kept.append(run)
        else:
            out.setdefault(next(kind for kind in kinds if kind not in include), []).append(run)
    if not out:
        return kept, None
    counts = " and ".join(counted(len(out[kind]), f"{kind} run") for kind in KINDS if kind in out)
    words = f"include=[{','.join(kind for kind in KINDS if kind in (*include, *out))}]"
    if not kept:
        raise ValueError(f"runs must lead to a run that is not left out, got {counts}; {words} takes them")
    return kept, f"left out: {counts}; {words} takes them"
