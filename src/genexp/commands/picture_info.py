"""genexp info <picture>: what a picture says of itself. It is shown as text, and nothing of it is trusted."""

import sys
from pathlib import Path

from genexp.terminal import plain, print_table

_TEXTS = 10


def is_picture(argument: str) -> bool:
    """Whether an argument names a picture file, there or not, by its ending or because there is a file."""
    from genexp.data.decoding import EXTENSIONS

    path = Path(argument)
    return path.suffix.lower() in EXTENSIONS or path.is_file()


def print_picture(path: str) -> int:
    """Print format and size of a picture, what its manifest says, and its other texts.

    Returns:
        0, or 1 where it cannot be read.
    """
    from genexp.data.decoding import open_picture, read_header, read_texts
    from genexp.data.source import BadImage
    from genexp.runs.origin import KEY, read_claim, short

    try:
        header, texts, picture = read_header(path), read_texts(path), open_picture(path)
    except BadImage as error:
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
    print_table(rows)
    return 0


def _compared(digest: str | None, picture: object) -> str:
    import numpy as np

    from genexp.runs.origin import pixels_digest

    if digest is None:
        return "it does not say which they were"
    values = np.asarray(picture)
    shape = (*values.shape[:2], 1 if values.ndim == 2 else values.shape[2])
    same = pixels_digest(values.tobytes(), shape) == digest
    return "those that it speaks of" if same else "others than those that it speaks of: changed since"
