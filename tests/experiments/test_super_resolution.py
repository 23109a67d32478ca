"""A GAN of super-resolution begins with the network of the least error, and is drawn from."""

import genexp
import tiny
from genexp.inference.run import load_run

SMALL = ["model.generator.depth=1", "model.generator.width=4", "model.generator.growth=2", "data.image_size=16"]
SMALL += ["data.batch_size=4", "data.source.eval_patches=4", "callbacks.sample_grid=null", "callbacks.evaluate.num=4"]
SMALL += ["training.max_images=8", "training.evaluate_every=8", "threads=1"]
CRITIC = ["model.critic.discriminator.width=4", "model.critic.discriminator.hidden=4"]


def test_esrgan_begins_with_its_network_of_the_least_error(tmp_path):
    least = tiny.run(["experiment=rrdb/photographs", *SMALL, f"paths.outputs={tmp_path}/least"])
    begun = ["initial=run", f"initial.run={least.path}", "initial.only=[generator]", f"paths.outputs={tmp_path}/gan"]
    rate = ["model.generator_optimizer.lr=1e-9"]
    gan = tiny.run(["experiment=esrgan/photographs", *SMALL, *CRITIC, *begun, *rate])
    before, after = (load_run(each.path).model.state_dict() for each in (least, gan))
    generator = [name for name in before if name.startswith("generator.")]
    assert max((after[name] - before[name]).abs().max() for name in generator) < 1e-6
    assert any(name.startswith("critic.") for name in after)
    assert not any("features" in name for name in after)  # the perceptual network is in no checkpoint
    assert genexp.load_run(gan.path).samples(2).shape == (2, 3, 16, 16)
