"""Whether a trained run gives back its training images, asked before it is handed to others."""

import torch

from genexp.config.instantiate import build
from genexp.evaluation.copies import CopyVerdict, judged
from genexp.inference.run import Run

MOST_TRAINING = 50_000


def verdict_on_copies(run: Run, num: int = 1000, seed: int = 0, device: str = "cpu") -> CopyVerdict:
    """Draw from a run and compare with the images that it was trained on, by the features of its evaluations.

    Args:
        run: The run; its data are read.
        num: How many samples.
        seed: Seed of their noise.
        device: Where to draw.

    Raises:
        ValueError: the model draws no images, its data have no single images, or are fewer than 100.
    """
    extractor, data = build(run.config.extractor), build(run.data)
    data.setup()
    parts, count = [], 0
    for batch in data.training_images():
        if "image" not in batch:
            raise ValueError(f"a verdict on copies needs data of single images, got columns {sorted(batch)}")
        parts.append(extractor(batch["image"]))
        count += len(parts[-1])
        if count >= MOST_TRAINING:
            break
    drawn = torch.cat([extractor(images) for images in run.samples(num, seed, device=device).split(256)])
    return judged(drawn, torch.cat(parts)[:MOST_TRAINING], f"{extractor.name}@{extractor.digest[:8]}")
