"""How every plot of this project looks, and how it becomes files: PNG to look at, SVG and PDF for papers."""

import io
import logging
from contextlib import AbstractContextManager
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from genexp.files.writing import write_atomically

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image as Picture

COLOURS = ("#0068ad", "#c14a00", "#00805d", "#a84685", "#8a6200", "#2d8bc0", "#6542a6", "#54585f")
WIDE = 15
"""Numbers that span more than this factor get a logarithmic axis."""

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8f98",
    "axes.labelcolor": "#1c1d1f",
    "xtick.color": "#5a5e66",
    "ytick.color": "#5a5e66",
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "genexp",
}


def house_style() -> AbstractContextManager[None]:
    """A context in which matplotlib draws in the colours and lines of this project."""
    from matplotlib import rc_context

    return rc_context(_STYLE)


def blank_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **shared: bool | str
) -> tuple["Figure", "np.ndarray"]:
    """A figure of that many inches with an array (rows, columns) of planes to draw on.

    Args:
        width: Inches.
        height: Inches.
        rows: Planes below one another.
        columns: Planes side by side.
        **shared: What `subplots` takes, such as `sharex`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def legend_above(plane: "Axes") -> None:
    """A legend above the plot, in as many columns as fit its width; lines without marks, such as bounds, come last."""
    figure = plane.figure
    handles, labels = plane.get_legend_handles_labels()
    lines = [getattr(each, "get_marker", lambda: "bar")() in ("None", "") for each in handles]
    order = sorted(range(len(handles)), key=lines.__getitem__)
    named = [handles[i] for i in order], [labels[i] for i in order]
    for columns in (4, 3, 2, 1):
        legend = figure.legend(*named, loc="outside upper center", ncols=columns, fontsize=9, handlelength=2.6)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def painted(figure: "Figure") -> "Picture":
    """The figure as an image of Pillow, RGB, as large as it is."""
    from PIL import Image

    canvas = figure.canvas
    canvas.draw()
    return Image.frombytes("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba())).convert("RGB")


VECTORS = (".svg", ".pdf")
"""Endings of the files beside every PNG, which keep lines and letters."""


def write_figure(figure: "Figure", path: Path) -> Path:
    """Write the figure as PNG, and beside it as SVG and PDF; the same drawing gives the same files.

    The PNG has 128 colours, which a drawing of lines is not seen to lose by, in a third of the space.

    Args:
        figure: What was drawn, in `house_style`.
        path: The PNG file.

    Returns:
        The PNG file.
    """
    from PIL import Image

    content = io.BytesIO()
    painted(figure).quantize(128, dither=Image.Dither.NONE).save(content, format="PNG", optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every letter that goes into a PDF
    for ending, undated in zip(VECTORS, ({"Date": None}, {"CreationDate": None}), strict=True):
        drawn_lines = io.BytesIO()
        figure.savefig(drawn_lines, format=ending[1:], metadata=undated)
        write_atomically(path.with_suffix(ending), drawn_lines.getvalue())
    return path


def note_below(figure: "Figure", text: str) -> None:
    """A line or more in small grey letters below the plot."""
    figure.supxlabel("\n".join(fill(line, 110) for line in text.splitlines()), fontsize=8.5, color="#54585f")
