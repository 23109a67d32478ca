"""What a value is worth, in a line for people: the features behind it, and whether a run was long enough."""

from collections.abc import Iterable

from genexp.evaluation.over_model import SPARSE

FEATURES = {
    "random": "untrained (random weights): they see colour and texture and not what is shown; extractor=cifar_vgg is "
    "trained on photographs, inception or dinov2 give numbers that others know",
    "pixels": "pixels compared place by place: a shift counts as another picture; extractor=cifar_vgg is trained on "
    "photographs",
    "cifar_vgg": "trained on CIFAR-10's photographs at 32 x 32 pixels: fit to rank runs on photographs, blind to finer "
    "detail, and unproven on drawings or scans; inception or dinov2 give numbers that others know",
}
"""Names of extractors whose values need a word."""

FEWEST_BATCHES = 1000
"""Batches below which a run is called too short; the shipped recipes for 8 x 8 digits take more than 1,200."""


def worth(protocols: Iterable[dict]) -> list[tuple[str, str]]:
    """What of some protocols needs a word, each with that word: untrained features, levels that data do not have."""
    protocols = list(protocols)
    names = dict.fromkeys(str(each.get("extractor")) for each in protocols)
    found = [(f"{name} features", FEATURES[name]) for name in names if name in FEATURES]
    sparse = [each for each in protocols if SPARSE in str(each.get("settings"))]
    for each in sparse[:1]:
        levels, _, few = each["settings"].rpartition(": ")[2].partition(f", {SPARSE} ")
        told = f"nats and bits are those of {levels}, {SPARSE} {few}: not to be set beside those of {few} levels,"
        found.append(("levels", f"{told} which a model trained with levels={few} has"))
    return found


def too_short(batches: int, images_seen: int, training_images: int) -> str | None:
    """Why a run says little of its model, or None: fewer than 1,000 batches, or less than one pass over its images.

    Args:
        batches: Training batches.
        images_seen: Images in them.
        training_images: Images of the training split.
    """
    passes = images_seen / training_images
    if batches >= FEWEST_BATCHES and passes >= 1:
        return None
    return (
        f"{batches:,} batches, {passes:.2g} passes over {training_images:,} images: its values say that it runs, not "
        f"how good the model is; judge from {FEWEST_BATCHES:,} batches and one pass on"
    )
