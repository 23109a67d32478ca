"""What a person is told who types a key that is refused or not there, and meant something. Imports nothing heavy."""

HINTS = {
    "initial.run": "of several runs the mean is a file first (genexp export soup=uniform format=safetensors), and "
    "initial=file begins with it",
    "sampler.guidance": "type sampler.guidance.scale=2, with sampler/guidance=classifier_free where there is none yet",
    "trainer.accumulate_grad_batches": "training.accumulate splits every batch",
    "trainer.gradient_clip_val": "model.clip limits the norm of gradients",
    "trainer.gradient_clip_algorithm": "model.clip limits the norm of gradients",
    "trainer.callbacks": "callbacks.<name> are those of a run, and +callbacks.<name>._target_=... adds one",
    "trainer.logger": "logger=... chooses them",
    "trainer.default_root_dir": "paths.outputs is where runs go, and run_dir where one goes",
    "trainer.fast_dev_run": "debug=fast is that",
}
"""What does what a refused key was meant to do."""

ABSENT = {
    "images": "pictures are input=... of genexp restore and content=... of genexp stylize",
    "max_epochs": "training.max_images is the length",
    "precision": "trainer.precision is that of training, sampler.precision that of drawing by a diffusion",
    "sampler.guidance.scale": "type sampler/guidance=classifier_free too, which has one",
    "sampler.precision": "samplers of diffusion have one; others evaluate a network once, or draw by its probabilities",
    "trainer.max_steps": "training.max_images is the length; +trainer.max_steps=... counts steps of all optimisers",
}
"""What gives keys that are not there, though they may be."""


def hint_of(key: str) -> str:
    """The hint of a refused key, as the end of a line; empty where there is none."""
    return f": {HINTS[key]}" if key in HINTS else ""


def hint_of_absent(key: str) -> str:
    """The hint of a key that does not exist, or lacks its last s, as the end of a line; empty where there is none."""
    meant = next((word for word in (key, f"{key}s") if word in ABSENT), None)
    return f": {ABSENT[meant]}" if meant else hint_of(key)
