"""genexp info <file>.safetensors: what weights say of themselves, and whether they have the fingerprint of a key."""

import json
import sys
from pathlib import Path

from genexp.terminal import plain, print_table, share_in_words

_TOLD = ("run", "name", "part", "data", "licence", "checkpoint_sha256", "fingerprinted")


def names_weights(argument: str) -> bool:
    """Whether an argument names a file of weights, by its ending."""
    return Path(argument).suffix == ".safetensors"


def print_weights(path: str, *asked: str) -> int:
    """Print what is in a file of weights, what it says of itself, and whether the fingerprint of a key is in it.

    Args:
        path: The file.
        asked: `fingerprint=<key>`, or nothing.

    Returns:
        0; 1 where the file cannot be read; 2 for another question.
    """
    key = asked[0].removeprefix("fingerprint=") if len(asked) == 1 and asked[0].startswith("fingerprint=") else ""
    if asked and not key:
        told = f"what is asked of weights must be fingerprint=<key>, of at least one character, got {' '.join(asked)}"
        print(f"genexp info: {plain(told)}", file=sys.stderr)
        return 2
    try:
        rows = _rows(path, key)
    except (ValueError, FileNotFoundError) as error:
        print(f"genexp info: {plain(str(error))}", file=sys.stderr)
        return 1
    print_table(rows)
    return 0


def _rows(path: str, key: str) -> list[tuple[str, str]]:
    from safetensors import SafetensorError, safe_open

    from genexp.inference.fingerprints import FALSE_POSITIVES, agreement, chance
    from genexp.runs.picture_origin import short

    if not Path(path).is_file():
        raise FileNotFoundError(f"a file of weights must be there, got {path}")
    try:
        with safe_open(path, "pt") as file:
            said, weights = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"cannot use {path}: {str(error).splitlines()[0]}") from error
    count = sum(weight.numel() for weight in weights.values())
    rows = [("weights", f"{path}, {len(weights):,} tensors, {count:,} numbers")]
    rows += [(f"  {name}", short(str(value))) for name, value in _about(said.get("genexp", "")).items()]
    if key:
        found = chance(agreement(weights, key))
        whose = "of this key" if found < FALSE_POSITIVES else "no fingerprint of this key"
        rows.append(("fingerprint", f"{whose}: at most {share_in_words(found)} of keys agree so by chance"))
    return rows


def _about(text: str) -> dict[str, object]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {name: content[name] for name in _TOLD if name in content} if isinstance(content, dict) else {}
