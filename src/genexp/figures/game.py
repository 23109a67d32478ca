"""Plots of an adversarial game. Imports no torch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from genexp.figures.plot_style import COLOURS, blank_figure, house_style, legend_above

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 40


def score_histograms(scores: Mapping[str, Sequence[float]]) -> "Figure":
    """Histograms over one axis of the scores of several kinds of images."""
    low = min(min(each) for each in scores.values())
    high = max(max(each) for each in scores.values())
    width = (high - low or 1.0) / BINS
    edges = [low + i * width for i in range(BINS + 1)]
    with house_style():
        figure, ((plane,),) = blank_figure(6.0, 3.6)
        for colour, (name, values) in zip(COLOURS, scores.items(), strict=False):
            plane.hist(values, edges, density=True, histtype="stepfilled", alpha=0.25, color=colour)
            plane.hist(values, edges, density=True, histtype="step", color=colour, label=name, linewidth=1.5)
        plane.set(xlabel="score of the critic: higher where it believes an image", ylabel="density")
        legend_above(plane)
    return figure


def level_sets(
    score: Sequence[Sequence[float]], reach: float, real: Sequence[Sequence[float]], fake: Sequence[Sequence[float]]
) -> "Figure":
    """The scores of a critic on the square [-reach, reach]^2, rows upwards, with real and generated points on it."""
    with house_style():
        figure, ((plane,),) = blank_figure(5.0, 4.4)
        extent = (-reach, reach, -reach, reach)
        drawn = plane.contourf(score, 14, extent=extent, cmap="RdBu", alpha=0.75)
        figure.colorbar(drawn, ax=plane, label="score of the critic")
        for points, colour, name in ((real, COLOURS[7], "real"), (fake, COLOURS[1], "generated")):
            if points:
                across, upwards = zip(*points, strict=True)
                plane.plot(across, upwards, ".", color=colour, markersize=2.5, label=name)
        plane.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        plane.grid(visible=False)
        legend_above(plane)
    return figure
