"""What the records of a run and a sweep hold at least, for tests that write them without training anything."""

CONFIG = {
    "seed": 0,
    "threads": 1,
    "trainer": {"precision": "32-true"},
    "paths": {"outputs": "out"},
    "model": {"_target_": "genexp.families.vae.VAE"},
    "training": {"max_images": 1},
    "data": {"_target_": "genexp.data.datamodule.ImageData", "source": {"root": "/elsewhere"}},
    "sampler": {"_target_": "genexp.sampling.latent.Latent"},
    "callbacks": {},
}
SWEEP = {"id": "2026_abc", "started": "2026", "command": [], "jobs": []}
