"""genexp info <picture>: what a picture says of itself. It is shown as text, and nothing of it is trusted."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genexp.commands.weights_info import names_weights, print_weights
from genexp.runs.picture_origin import KEY, read_claim, short
from genexp.terminal import plain, print_table, share_in_words

if TYPE_CHECKING:
    from genexp.inference.run import Run
    from genexp.runs.picture_origin import ForeignManifest

_TEXTS, MOST_PIXELS = 10, 50_000_000


def names_file(argument: str) -> bool:
    """Whether an argument names a picture or weights, there or not, by its ending, or whatever else is there."""
    from genexp.data.decoding import EXTENSIONS

    path = Path(argument)
    return path.suffix.lower() in EXTENSIONS or names_weights(argument) or path.exists()


def print_asked(path: str, *asked: str) -> int:
    """Print what is asked of a picture or of a file of weights, or one line on a wrong question.

    Args:
        path: The file.
        asked: As they are typed, see `asked_of`.

    Returns:
        That of `print_picture`; 2 for a wrong question.
    """
    if names_weights(path):
        return print_weights(path, *asked)
    try:
        if Path(path).is_dir():
            raise ValueError(f"a picture must be a file, got the folder {path}")
        questions = asked_of(asked)
    except ValueError as error:
        print(f"genexp info: {plain(str(error))}", file=sys.stderr)
        return 2
    return print_picture(path, **questions)


def asked_of(arguments: Sequence[str]) -> dict[str, str]:
    """What is asked of a picture by `watermark=<key>` and `run=<run>`.

    Raises:
        ValueError: another key, one twice, one without a value, or a run without a key.
    """
    asked: dict[str, str] = {}
    for each in arguments:
        key, _, value = each.partition("=")
        if key not in ("watermark", "run") or key in asked:
            raise ValueError(f"what is asked of a picture must be watermark=<key> and run=<run>, each once, got {each}")
        if not value:
            raise ValueError(f"{key} must be text of at least one character, got none")
        asked[key] = value
    if "run" in asked and "watermark" not in asked:
        raise ValueError("watermark must be the key that is looked for in the noise of run, got none")
    return asked


def print_picture(path: str, watermark: str | None = None, run: str | None = None) -> int:
    """Print format and size of a picture, what its manifest says, its other texts, and whether it has a mark.

    Args:
        path: The file.
        watermark: A key, or None.
        run: A run of diffusion, in whose noise the mark is looked for; None for the pixels.

    Returns:
        0, or 1 where something cannot be read.
    """
    from genexp.data.decoding import open_picture, read_header, read_texts
    from genexp.data.source import BadImage

    try:
        header, texts, picture = read_header(path), read_texts(path), open_picture(path)
        name = next((each for each in (KEY, "comment") if read_claim(texts.get(each, ""))), None)
        claim = None if name is None else read_claim(texts.pop(name))
        size = (header.width, header.height)
        found = [] if watermark is None else [("watermark", _mark_of(path, watermark, run, claim, size))]
    except (BadImage, ValueError, FileNotFoundError) as error:
        print(f"genexp info: {plain(str(error))}", file=sys.stderr)
        return 1
    shown = f"{header.width} x {header.height}, {'grey' if header.channels == 1 else 'colour'}"
    rows = [("picture", f"{path}, {shown}{', several frames' if header.several else ''}")]
    if claim is None:
        rows.append(("origin", "it says nothing of a run of genexp"))
    else:
        rows += [("it says", "what follows; it is not signed, and anybody can write such text")]
        rows += [(f"  {key}", value) for key, value in claim.rows]  # set in, so that no row of ours can be imitated
        rows.append(("pixels", _compared(claim.digest, picture)))
    rows += [(f"text {short(key)}", short(value)) for key, value in list(texts.items())[:_TEXTS]]
    print_table([*rows, *found])
    return 0


def _mark_of(path: str, key: str, run: str | None, claim: "ForeignManifest | None", size: tuple[int, int]) -> str:
    """Whether a picture of a size (width, height) has the mark of a key, in words.

    What it says of itself keeps nothing from being looked for, since anybody can write it: it explains what is not
    found.
    """
    from genexp.inference.marked_pixels import FALSE_POSITIVES, LEAST_SIDE, find

    why = ""
    if run is None:
        from genexp.inference.restoring import read

        if claim is not None and claim.in_noise:
            why = f"it says that its mark is in the noise: run= must name the run ({', '.join(claim.runs) or 'untold'})"
            if min(size) < LEAST_SIDE:
                return f"not looked for in so few pixels; {why}"
        found = find(read(Path(path), MOST_PIXELS)[0], key)
        known = "marked, but not with this key" if found.marked_p_value < FALSE_POSITIVES else "no mark"
        ours, chance = found.p_value < FALSE_POSITIVES, found.p_value
    else:
        from genexp.data.own_pictures import own_pictures
        from genexp.inference.noise_found import noise_p_values
        from genexp.inference.run import load_run

        opened = load_run(run)
        channels, side, _ = opened.config.data.shape
        chance = float(noise_p_values(opened, key, own_pictures(path, side, channels).images))
        ours, known = chance < FALSE_POSITIVES, "no mark of this key in the noise"
        why = _another(opened, claim, size)
    of = "keys agree" if run is None else "pictures without it look"
    said = f"{'of this key' if ours else known}: at most {share_in_words(chance)} of {of} so by chance"
    return said if ours or not why else f"{said}; {why}"


def _another(run: "Run", claim: "ForeignManifest | None", size: tuple[int, int]) -> str:
    """Why the noise of a picture of a size (width, height) cannot be that of a run, in words; none where it may be."""
    ours, side = [each.folder.record["id"] for each in run.members], run.config.data.shape[-1]
    if claim is not None and claim.runs and not set(ours) & set(claim.runs):
        return f"it says that {', '.join(claim.runs)} drew it, not {', '.join(ours)}"
    if size != (side, side):
        return f"samples of this run have {side} x {side} pixels, it has {size[0]} x {size[1]}"
    return ""


def _compared(digest: str | None, picture: object) -> str:
    import numpy as np

    from genexp.runs.picture_origin import pixels_digest

    if digest is None:
        return "it does not say which they were"
    values = np.asarray(picture)
    shape = (*values.shape[:2], 1 if values.ndim == 2 else values.shape[2])
    same = pixels_digest(values.tobytes(), shape) == digest
    return "those that it speaks of" if same else "others than those that it speaks of: changed since"
