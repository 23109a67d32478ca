"""An encoder beside a generator, trained in earnest: what comes back is mostly of the class that went in."""

import pytest
import torch

import genexp
import tiny
from genexp.evaluation.extractors.classifiers import ClassifierFeatures
from genexp.inference.image_sets import open_side


@pytest.mark.slow
def test_reconstructions_of_digits_keep_their_class_far_more_often_than_chance(tmp_path):
    length = ["training.max_images=51_200", "training.evaluate_every=51_200", "metrics=linear_probe"]
    quiet = ["trainer=cpu", "threads=1", "trainer.precision=32-true", "logger=none", f"paths.outputs={tmp_path}"]
    folder = tiny.run(["experiment=bigbigan/digits", *length, *quiet])
    run = genexp.load_run(folder.path)
    classifier, kept = ClassifierFeatures("digits_classifier"), []
    for batch in open_side("val", {"": run.data}, torch.device("cpu")).images.batches():
        with torch.no_grad():
            guess = classifier.logits(classifier(run.model.source().reconstruct(batch))).argmax(1)
        kept.append(guess == batch["label"])
    assert len(torch.cat(kept)) == 200
    assert float(torch.cat(kept).float().mean()) > 0.35  # 0.1 by chance
    last = {key: value for row in folder.history() for key, value in row.items()}
    assert last["neighbour_probe"] > 0.8
