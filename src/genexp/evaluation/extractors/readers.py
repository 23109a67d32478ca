"""Which reader of attributes serves which data."""

from genexp.data.scenes import Scenes
from genexp.data.shapes import Shapes
from genexp.evaluation.extractors.scene_reader import SceneReader
from genexp.evaluation.extractors.shape_reader import ShapeReader


def reader_of(source: object, jitter: float = 0.05) -> SceneReader | ShapeReader:
    """The reader of what pictures of a source show.

    Args:
        source: The data.
        jitter: Shift and change of radius of the pictures compared with, in half picture widths, in [0, 0.08].

    Raises:
        ValueError: nothing reads pictures of this source.
    """
    for known, reader in ((Shapes, ShapeReader), (Scenes, SceneReader)):
        if isinstance(source, known):
            return reader(jitter)
    raise ValueError(f"source must be data whose pictures can be read, Shapes or Scenes, got {type(source).__name__}")
