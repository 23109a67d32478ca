"""Checks of the classes that some metrics need."""

from genexp.evaluation.statistics import FeatureStore


def require_labels(metric: str, store: FeatureStore) -> None:
    """Check that all images of a set have a class.

    Raises:
        ValueError: there are no images, or some are without a label.
    """
    missing = int((store.label < 0).sum())
    if missing or store.count == 0:
        raise ValueError(f"{metric} needs labelled images, got {missing} of {store.count} without a label")
