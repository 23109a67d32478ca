"""Lines of the README and of docs/ as a reader types them, default logger included, shortened at their end alone."""

import pytest
import torch
from outcomes import (
    Check,
    drawn,
    exported,
    nothing_again,
    painted,
    refused,
    reproduced,
    resumed,
    says,
    searched,
    sweep_of,
    trained,
    with_more_drawn,
    without_wandb,
)
from place import QUICK, SHORT, Place

import genexp

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("reader"))


GPU = says("hardware    gpu") if torch.cuda.is_available() else refused("gpu")
NO_NETWORK = "could not be downloaded"
TABLE, TINY = "genexp reproduce ablation=ddim_table1 scale=cpu", "train=[training.max_images=640]"
TUNED = "genexp train sweep=diffusion_learning_rate hydra.sweeper.pruner=median hydra.sweeper.n_trials=30"
MEASURED = "genexp evaluate run=outputs/quickstart/<run> metrics=[fd,kid,precision_recall,density_coverage] num=2000"
PENALISED = "genexp train experiment=dcgan/digits model/critic/objective=hinge 'model/critic/penalties=[r1,lecam]'"
PAIRED = "genexp train experiment=bigbigan/digits"
CONVOLVED = "genexp train model/critic/objective=wasserstein model=gan"
DOWNLOADED = "genexp evaluate generated=my/images reference=cifar10:test metrics=[fd,kid]"
INCEPTION = "genexp evaluate run=<run> extractor=inception metrics=[fd,kid,classifier_score]"
TRUSTED = "GENEXP_TRUST=mypackage. genexp evaluate run=<run>"
WORDS, KEY = "outputs/ldm_shapes_captions/<run>", 'watermark="a secret"'
EXPORTED = f"genexp export run={WORDS} out=drawing format=onnx part=sampler sampler.steps=3 licence=mit"
MARKED = f"genexp sample run={WORDS} num=8 {KEY} out=marked"
LONGER = "training.max_images=1280"
FEW = "training.max_images=128 training.evaluate_every=128 callbacks.evaluate.num=16 callbacks.sample_grid.num=2"
FEW = f"{FEW} trainer.limit_val_batches=1"
"""For what takes long: pictures of 32 pixels, networks of their own."""

RUN: dict[str, tuple[Check, str]] = {
    "uv run genexp train": (trained("quickstart"), SHORT),
    "genexp train": (trained("quickstart"), SHORT),
    "genexp train training.max_images=30000": (trained("quickstart"), SHORT),
    "genexp sample run=outputs/quickstart/2026-11-30_14-09-36_jijb3cub num=64": (drawn(64), ""),
    "genexp train resume=outputs/quickstart/... training.max_images=320000": (resumed, LONGER),
    "genexp train resume=<run>": (resumed, "training.max_images=1920"),
    "genexp train resume=<run> model.optimizer.lr=1e-4": (resumed, "training.max_images=2560"),
    "genexp train resume=<run> training.max_images=640 model.optimizer.lr=1e-4": (resumed, "training.max_images=3200"),
    "genexp train resume=auto": (trained("quickstart"), SHORT),
    "genexp train model=gan": (with_more_drawn("gan_digits"), SHORT),
    "genexp train data=shapes": (trained("diffusion_shapes"), FEW),
    "genexp train experiment=cfg/digits": (trained("cfg_digits"), FEW),
    "genexp train experiment=cgan/digits metrics=[fd,recognised]": (trained("cgan_digits"), SHORT),
    f"{PENALISED} model.critic.discriminator.norm=none": (trained("dcgan_digits"), SHORT),
    f"{PAIRED} metrics=[fd,autoencoding,linear_probe]": (trained("bigbigan_digits"), SHORT),
    f"{PAIRED} model.critic.discriminator.terms=[joint] model.stochastic=false": (trained("bigbigan_digits"), SHORT),
    "genexp train experiment=toy/ring8 callbacks/game=watch": (trained("toy_ring8"), SHORT),
    "genexp train model.network.width=64 seed=1": (trained("quickstart"), FEW),
    CONVOLVED: (trained("gan_digits"), SHORT),
    "genexp train trainer=gpu trainer.precision=bf16-mixed": (GPU, SHORT),
    "genexp train logger=[wandb,csv]": (trained("quickstart"), SHORT),
    "genexp train debug=fast": (without_wandb("quickstart", ""), ""),
    "genexp train -m model=vae,gan seed=0,1,2": (sweep_of(6), SHORT),
    "genexp train sweep.resume=<folder>": (nothing_again, ""),
    "genexp compare runs='outputs/multirun/**'": (says("compare.html"), ""),
    TUNED: (searched, f"hydra.sweeper.n_trials=2 {SHORT}"),
    "genexp sweep wandb sweep=<question>": (says("gan_stability.wandb.yaml", "wandb agent"), ""),
    "genexp sample run=outputs/quickstart/<run> num=64 seed=0": (drawn(64), ""),
    "genexp sample run=outputs/quickstart/<run> sampler=ddpm sampler.steps=100": (drawn(8), "num=8"),
    "genexp stylize content=photo.jpg style=painting.jpg": (painted, "size=64 training.max_images=4"),
    MEASURED: (says("fd/digits_classifier", "coverage/digits_classifier"), "num=64"),
    "genexp evaluate generated=my/images reference=other/images": (says("fd/cifar_vgg", "40 images against 50"), ""),
    "genexp evaluate generated=FOLDER reference=FOLDER": (says("60 images against 60"), ""),
    "genexp evaluate reference=digits self_check=true": (says("fd/digits_classifier", "real"), ""),
    "genexp evaluate reference=digits self_check=true metrics=[fd,kid]": (says("kid/digits_classifier"), ""),
    "genexp evaluate run=<run folder> metrics=[fd,kid,precision_recall] num=10000": (says("recall"), "num=64"),
    DOWNLOADED: (refused("CIFAR", NO_NETWORK), ""),
    INCEPTION: (refused("inception"), "num=64"),
    f"{TRUSTED} '+metrics.mine={{_target_: mypackage.Mine, k: 5}}'": (says("mine/digits_classifier"), "num=64"),
    f"{TRUSTED} extractor=mine --config-dir my/conf": (says("fd/random@"), ""),
    "genexp train data=folder data.source.root=FOLDER": (
        trained("diffusion_folder"),
        f"{FEW} model.network.width=8 data.image_size=16",
    ),
    f"{TABLE} plan=true": (says("ablation  ddim_table1", "6 trainings"), ""),
    TABLE: (reproduced("ddim_table1", 1, 16), f"seeds=[0] {TINY}"),
    "genexp reproduce ablation='glob(*)' scale=cpu": (says("ablation  vae_ex_post"), "plan=true calibrate=false"),
    "genexp reproduce ablation=iwae_k scale=mnist plan=true": (says("scale     mnist"), "calibrate=false"),
    "genexp reproduce ablation='glob(*)' scale=mnist": (says("ablation  iwae_k"), "plan=true calibrate=false"),
    "genexp reproduce ablation='glob(*)' --status": (says("ddim_table1", "vae_ex_post_density"), ""),
    "genexp reproduce ablation=my/question.yaml train=[logger=none] seeds=[0,1,2,3,4]": (
        reproduced("question", 4, 4),
        "seeds=[0,1] slots=2",
    ),
    "genexp compare ablation=<name>": (says("compare.html"), ""),
    "genexp validate": (says("0 with problems"), "'experiment=glob(vae*)'"),  # test_validation goes through all
    "genexp evaluate run=outputs/pixelcnn_digits/<run> metrics=likelihood": (says("bits_per_dim", "nll"), ""),
    "genexp train experiment=realnvp/digits": (trained("realnvp_digits"), FEW),
    "genexp train experiment=realnvp/points": (trained("realnvp_points"), f"{SHORT} callbacks.sample_grid.points=50"),
    EXPORTED: (exported, "sampler.steps=2"),
    MARKED: (drawn(2), f"{QUICK} num=2"),
    f"genexp info marked/images/000000.png {KEY}": (says("of this key: at most one in", "made by"), ""),
    "genexp info": (says("torch"), ""),
    "genexp info metrics": (says("bits_per_dim", "fd"), ""),
}
"""Every line with what it must leave and what is typed after it to shorten it."""

STEPS = "training.max_images=4 training.evaluate_every=4 callbacks.sample_grid.num=2"
POINTS = f"{SHORT} callbacks.sample_grid.points=50"
MODEL, DATA = "genexp train model=gan", "genexp train data=shapes"
TRAINER, LOGGER = "genexp train trainer=gpu trainer.precision=bf16-mixed", "genexp train logger=[wandb,csv]"
DEBUG, RESUME = "genexp train debug=fast", "genexp train resume=auto"
CHOICES: dict[tuple[str, str], tuple[Check, str]] = {
    (MODEL, "gan"): RUN[MODEL],
    **{(MODEL, name): (with_more_drawn(f"{name}_digits"), SHORT) for name in ("diffusion", "vae")},
    (MODEL, "bigan"): (trained("bigan_digits"), SHORT),
    (MODEL, "image_to_image"): (trained("image_to_image_contrasts"), FEW),
    (MODEL, "cycle_gan"): (trained("cycle_gan_contrasts"), f"{FEW} model.generator.blocks=1 model.back.blocks=1"),
    (MODEL, "restoration"): (trained("restoration_photographs"), f"{STEPS} data.source.eval_patches=4"),
    (MODEL, "super_resolution"): (trained("super_resolution_photographs"), f"{STEPS} data.source.eval_patches=4"),
    (MODEL, "restoration_of_pairs"): (trained("restoration_of_pairs_contrasts"), FEW),
    **{(MODEL, name): (trained(f"{name}_digits"), SHORT) for name in ("quantised", "hierarchy")},
    (MODEL, "likelihood"): (trained("likelihood_digits"), FEW),
    (MODEL, "style"): (trained("style_one_pair"), f"{STEPS} data.image_size=64"),
    (MODEL, "adain"): (trained("adain_content_style"), STEPS),
    (MODEL, "johnson"): (trained("johnson_one_style"), STEPS),
    (MODEL, "student model.teacher.run=..."): (refused("model.teacher.run: must be a run folder"), ""),
    (MODEL, "classifier"): (trained("classifier_digits", pictures=False), "training.max_images=640"),
    (DATA, "shapes"): RUN[DATA],
    **{(DATA, name): (trained(f"diffusion_{name}"), FEW) for name in ("digits", "stacked_digits")},
    (DATA, "toy2d model/network=mlp"): (trained("diffusion_toy2d"), POINTS),
    (DATA, "scenes"): (trained("diffusion_scenes"), f"{FEW} model.network.width=8"),
    (DATA, "moving_shapes model/network=unet_video"): (trained("diffusion_moving_shapes"), FEW),
    (DATA, "mnist"): (refused("MNIST", NO_NETWORK), ""),
    (DATA, "fashion_mnist"): (refused("FashionMNIST", NO_NETWORK), ""),
    (DATA, "cifar10"): (refused("CIFAR10", NO_NETWORK), ""),
    (DATA, "celeba"): (refused("CelebA"), "approval='A. Name, 2026-11-29, a test'"),
    (DATA, "stl10"): (refused("STL10", NO_NETWORK), ""),
    (DATA, "folder data.source.root=..."): (refused("data.source.root: must be the path of a folder that exists"), ""),
    **{(TRAINER, name): (trained("quickstart"), SHORT) for name in ("auto", "cpu", "ddp_cpu")},
    **{(TRAINER, name): (GPU, SHORT) for name in ("gpu", "ddp", "fsdp")},
    (LOGGER, "wandb"): (trained("quickstart"), SHORT),
    (LOGGER, "csv"): (without_wandb("quickstart", "metrics.csv"), SHORT),
    (LOGGER, "tensorboard"): (without_wandb("quickstart", "events.out.tfevents*"), SHORT),
    (LOGGER, "none"): (without_wandb("quickstart", ""), SHORT),
    (DEBUG, "fast"): RUN[DEBUG],
    (DEBUG, "overfit"): (without_wandb("quickstart", ""), SHORT),
    (DEBUG, "limit"): (trained("quickstart"), SHORT),
    (DEBUG, "profile"): (without_wandb("quickstart", "*profile*"), SHORT),
    (RESUME, "resume=<run folder>"): (resumed, "training.max_images=3840"),
    (RESUME, "resume=<checkpoint>"): (resumed, "training.max_images=4480"),
}
"""Every word that the table of words offers in the place of the one in its first column."""


def typed(line: str, word: str) -> str:
    """The line with the word in its place."""
    key = line.split()[2].partition("=")[0]
    return f"genexp train {word if word.startswith(key) else f'{key}={word}'}"


FRESH = {"uv run genexp train", "genexp train -m model=vae,gan seed=0,1,2", "genexp info"}
"""Lines that start the program as users do; all others run in forks of a process that has imported everything."""


@pytest.mark.parametrize("line", RUN)
def test_a_line_does_what_the_page_says(line, place):
    check, more = RUN[line]
    check(place, place.type(line, more, fresh=line in FRESH))


@pytest.mark.parametrize("case", [each for each in CHOICES if typed(*each) not in RUN], ids=" ".join)
def test_a_choice_of_the_table_of_words_works(case, place):
    check, more = CHOICES[case]
    check(place, place.type(typed(*case), more))


LOADED = 'run = genexp.load_run("outputs/...")'


def test_what_the_readme_says_of_a_loaded_run(place):
    names = {"genexp": genexp}
    exec(LOADED.replace("outputs/...", str(place.folder / place.run("quickstart"))), names)
    run = names["run"]
    assert run.config.seed == 0
    assert run.history.having("images_seen", "val/loss").column("images_seen")
    assert run.metrics["values"]
    assert sum(parameter.numel() for parameter in run.model.parameters()) > 1000
    assert run.pictures
