"""A trained text-to-image run steered by pictures: what it is at first, what stands still, and what it is told."""

import torch

import tiny
from genexp.inference.run import load_run

TYPED = [
    *tiny.COMMON,
    *("data.image_size=16", "data.batch_size=8", "training.max_images=16", "training.evaluate_every=64"),
    *("model.network.patch_size=2", "model.network.width=8", "sampler.steps=2", "metrics=none"),
]
CAPTION = "a large red circle in the centre on a white background"


def test_a_run_begins_as_the_one_that_it_steers_and_trains_its_copy_alone(tmp_path):
    base = tiny.run(["experiment=captions/attended", *TYPED, f"paths.outputs={tmp_path}/base"])
    steering = ["experiment=control_net/shapes", *TYPED, f"initial.run={base.path}"]
    still = tiny.run([*steering, "model.optimizer.lr=0", f"paths.outputs={tmp_path}/still"])
    edges = torch.rand(1, 1, 16, 16) * 2 - 1
    told = load_run(base.path).samples(2, caption=CAPTION)
    assert torch.equal(load_run(still.path).samples(2, caption=CAPTION, edges=edges), told)
    folder = tiny.run([*steering, f"paths.outputs={tmp_path}/steered"])
    before, after = (tiny.checkpoint(each)["averaged"]["modules"]["network"] for each in (base, folder))
    assert all(torch.equal(after[name], value) for name, value in before.items())
    moved = [name for name in after if name.startswith("control.") and name.removeprefix("control.copied.") in before]
    assert moved
    exits = [after[name] for name in after if name.startswith("control.exits") and name.endswith("weight")]
    assert all(bool(each.any()) for each in exits)
    made = load_run(folder.path).samples(2, caption=CAPTION, edges=edges)
    assert not torch.equal(made, told)
