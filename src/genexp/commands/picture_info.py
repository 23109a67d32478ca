"""genexp info <picture>: what a picture says of itself. It is shown as text, and nothing of it is trusted."""

import sys
from collections.abc import Sequence
from pathlib import Path

from genexp.commands.weights_info import names_weights, print_weights
from genexp.terminal import plain, print_table

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
    from genexp.runs.picture_origin import KEY, read_claim, short

    try:
        header, texts, picture = read_header(path), read_texts(path), open_picture(path)
        found = [] if watermark is None else [("watermark", _mark_of(path, watermark, run))]
    except (BadImage, ValueError, FileNotFoundError) as error:
        print(f"genexp info: {plain(str(error))}", file=sys.stderr)
        return 1
    size = f"{header.width} x {header.height}, {'grey' if header.channels == 1 else 'colour'}"
    rows = [("picture", f"{path}, {size}{', several frames' if header.several else ''}")]
    name = next((each for each in (KEY, "comment") if read_claim(texts.get(each, ""))), None)
    if name is None:
        rows.append(("origin", "it says nothing of a run of genexp"))
    else:
        claim = read_claim(texts.pop(name))
        rows += [("it says", "what follows; it is not signed, and anybody can write such text")]
        rows += [(f"  {key}", value) for key, value in claim.rows]  # set in, so that no row of ours can be imitated
        rows.append(("pixels", _compared(claim.digest, picture)))
    rows += [(f"text {short(key)}", short(value)) for key, value in list(texts.items())[:_TEXTS]]
    print_table([*rows, *found])
    return 0


def _mark_of(path: str, key: str, run: str | None) -> str:
    """Whether a picture has the mark of a key, in words."""
    from genexp.inference.marked_pixels import FALSE_POSITIVES, find

    if run is None:
        from genexp.inference.restoring import read

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
    of = "keys agree" if run is None else "pictures without it look"
    told = f"one in {1 / chance:.3g}" if 0 < chance < 0.1 else f"a share of {chance:.2g}"
    return f"{'of this key' if ours else known}: at most {told} of {of} so by chance"


def _compared(digest: str | None, picture: object) -> str:
    import numpy as np

    from genexp.runs.picture_origin import pixels_digest

    if digest is None:
        return "it does not say which they were"
    values = np.asarray(picture)
    shape = (*values.shape[:2], 1 if values.ndim == 2 else values.shape[2])
    same = pixels_digest(values.tobytes(), shape) == digest
    return "those that it speaks of" if same else "others than those that it speaks of: changed since"
