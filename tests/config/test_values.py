"""Wrong values are told before anything is built: one line each, with the key, the rule and the value.

A line reads `key: must be <rule>, got <value> (set by <file or override>)`. Every line of the table is what a stranger
typed, or a relative of it: the command, its overrides, the key that must be named, and words of the rule.
"""

import re
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

import tiny
from genexp.commands import validate
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config import devices
from genexp.config import messages as errors
from genexp.config.compose import compose, conf_dir, initialised
from genexp.config.fields import COMMANDS, SECTIONS
from genexp.config.origins import Origins
from genexp.config.problems import InvalidConfig
from genexp.config.validation import declared_keys, find_problems, require_options, require_settings

WHOLE, LIST, TRUTH = "a whole number", "a list", "true or false"
SEED, THREADS = "a whole number from 0 to 4294967295", "auto or a whole number from 1 to"
AT_LEAST_1 = "a whole number of at least 1"

WRONG = [
    # train: its own keys
    ("train", "seed=abc", "seed", SEED),
    ("train", "seed=[1]", "seed", SEED),
    ("train", "seed=1.5", "seed", SEED),
    ("train", "seed=-1", "seed", SEED),
    ("train", "seed=4294967296", "seed", SEED),
    ("train", "seed=true", "seed", SEED),
    ("train", "seed=null", "seed", SEED),
    ("train", "seed={a:1}", "seed", SEED),
    ("train", "threads=0", "threads", THREADS),
    ("train", "threads=-1", "threads", THREADS),
    ("train", "threads=200000", "threads", THREADS),
    ("train", "threads=two", "threads", THREADS),
    ("train", "threads=1.5", "threads", THREADS),
    ("train", "threads=null", "threads", THREADS),
    ("train", "name=../../x", "name", "no .."),
    ("train", "name=a/../../x", "name", "no .."),
    ("train", "name=/tmp/x", "name", "no / at its beginning"),
    ("train", "name='~/x'", "name", "below the outputs"),
    ("train", "name=''", "name", "below the outputs"),
    ("train", "name=[a]", "name", "text"),
    ("train", "tags=text", "tags", "a list of texts"),
    ("train", "tags=[a,[b]]", "tags", "a list of texts"),
    ("train", "tags=null", "tags", "a list of texts"),
    ("train", "group=[a]", "group", "text or null"),
    ("train", "notes={a:b}", "notes", "text or null"),
    ("train", "approval=yes", "approval", "who, when, why"),
    ("train", "resume=[a]", "resume", "text or null"),
    # training and paths
    ("train", "training.max_images=abc", "training.max_images", AT_LEAST_1),
    ("train", "training.max_images=null", "training.max_images", AT_LEAST_1),
    ("train", "training.max_images=.inf", "training.max_images", AT_LEAST_1),
    ("train", "training.max_images=inf", "training.max_images", AT_LEAST_1),
    ("train", "training.max_images=0", "training.max_images", AT_LEAST_1),
    ("train", "training.max_images=1e5", "training.max_images", "got 100000.0: write 100000"),
    ("train", "training.evaluate_every=0", "training.evaluate_every", AT_LEAST_1),
    ("train", "training.evaluate_every=-1", "training.evaluate_every", AT_LEAST_1),
    ("train", "training.evaluate_every=null", "training.evaluate_every", AT_LEAST_1),
    ("train", "training.checkpoint_every=0", "training.checkpoint_every", AT_LEAST_1),
    ("train", "training.log_every=true", "training.log_every", AT_LEAST_1),
    ("train", "training.monitor_mode=best", "training.monitor_mode", "one of auto, min, max"),
    ("train", "training.monitor=[fd]", "training.monitor", "text or null"),
    ("train", "training.monitor=kid", "training.monitor", "one of null, auto, val/<term>, fd"),
    (
        "train",
        "training.monitor=fd callbacks.evaluate=null",
        "training.monitor",
        "where callbacks.evaluate=null measures",
    ),
    ("train", "paths.outputs=[a]", "paths.outputs", "text"),
    ("train", "paths.cache=null", "paths.cache", "text"),
    # what a run begins with
    (
        "train",
        "initial=run initial.run=[a,b]",
        "initial.run",
        "of several runs the mean is a file first (genexp export",
    ),
    # trainer
    ("train", "trainer.precision=fp16", "trainer.precision", "one of auto, 32-true, bf16-mixed"),
    ("train", "trainer.precision=true", "trainer.precision", "one of auto"),
    ("train", "trainer=cpu trainer.precision=16-mixed", "trainer.precision", "32-true or bf16-mixed on the CPU"),
    ("train", "trainer.devices=abc", "trainer.devices", "-1 for all GPUs"),
    ("train", "trainer.devices=-3", "trainer.devices", "-1 for all GPUs"),
    ("train", "trainer.devices=0", "trainer.devices", "-1 for all GPUs"),
    ("train", "trainer.devices=1.5", "trainer.devices", "-1 for all GPUs"),
    ("train", "trainer=cpu trainer.devices=-1", "trainer.devices", "a number of processes on the CPU"),
    ("train", "trainer=cpu trainer.devices=[0,1]", "trainer.devices", "a number of processes on the CPU"),
    ("train", "trainer=gpu", "trainer.accelerator", "auto or cpu on a machine without a GPU"),
    ("train", "trainer=ddp", "trainer.accelerator", "on a machine without a GPU, got 'gpu'; trainer=ddp_cpu tries it"),
    ("train", "trainer=fsdp", "trainer.accelerator", "trainer.accelerator=cpu trainer.devices=2 tries it in two"),
    ("train", "trainer.accelerator=mps", "trainer.accelerator", "on a machine without an Apple GPU"),
    ("train", "trainer.accelerator=abacus", "trainer.accelerator", "one of auto, cpu, gpu, cuda, mps"),
    ("train", "trainer.strategy=ddpp", "trainer.strategy", "a strategy of Lightning"),
    ("train", "trainer.strategy=ddp_spawn", "trainer.strategy", "ddp or ddp_fork"),
    ("train", "trainer=cpu trainer.devices=100000", "trainer.devices", "this machine has"),
    (
        "train",
        "model=vae model.free_bits=1 model.free_bits_over=batch training.accumulate=2",
        "training.accumulate",
        "1",
    ),
    ("train", "trainer.num_nodes=0", "trainer.num_nodes", AT_LEAST_1),
    ("train", "trainer.max_epochs=x", "trainer.max_epochs", WHOLE),
    ("train", "trainer.limit_val_batches=-1", "trainer.limit_val_batches", "a number from 0 to 1"),
    ("train", "trainer.limit_val_batches=2.5", "trainer.limit_val_batches", "a number from 0 to 1"),
    ("train", "trainer.val_check_interval=0", "trainer.val_check_interval", AT_LEAST_1),
    ("train", "trainer.deterministic=maybe", "trainer.deterministic", "warn"),
    ("train", "trainer.benchmark=2", "trainer.benchmark", TRUTH),
    ("train", "+trainer.accumulate_grad_batches=2", "trainer.accumulate_grad_batches", "training.accumulate splits"),
    ("train", "+trainer.gradient_clip_val=1", "trainer.gradient_clip_val", "model.clip limits the norm"),
    ("train", "+trainer.gradient_clip_algorithm=norm", "trainer.gradient_clip_algorithm", "model.clip limits the norm"),
    ("train", "+trainer.profiler=fast", "trainer.profiler", "one of simple, advanced"),
    # data
    ("train", "data.batch_size=x", "data.batch_size", WHOLE),
    ("train", "data.batch_size=0", "data.batch_size", "at least 1"),
    ("train", "data.batch_size=1.5", "data.batch_size", WHOLE),
    ("train", "data.eval_batch_size=-1", "data.eval_batch_size", "at least 1"),
    ("train", "data.workers=-1", "data.workers", "at least 0"),
    ("train", "data.limit=0", "data.limit", "at least 1"),
    ("train", "data.in_memory=1", "data.in_memory", TRUTH),
    ("train", "data.shuffle_buffer=0", "data.shuffle_buffer", "at least 1"),
    ("train", "data=webdataset data.source.root=/nowhere", "data.source.root", "the path of a folder that exists"),
    ("train", "data.augment=[1]", "data.augment", "a list of mappings with _target_"),
    ("train", "data.image_size=x", "data.image_size", WHOLE),
    ("train", "data.channels=2", "data.channels", "1"),
    ("train", "data.source.interpolation=cubic", "data.source.interpolation", "one of nearest, bilinear, bicubic"),
    ("train", "data.seed=-1", "data.seed", SEED),
    ("train", "data=folder data.source.root=/nowhere", "data.source.root", "the path of a folder that exists"),
    ("train", "data=folder data.source.fit=squeeze data.source.root=.", "data.source.fit", "one of crop, pad, stretch"),
    ("train", "data=folder data.source.val_share=2 data.source.root=.", "data.source", "sum to less than 1"),
    ("train", "data=cifar10 data.source.dataset=CIFAR11", "data.source.dataset", "CIFAR10"),
    ("train", "data=toy2d model/network=mlp data.source.kind=cube", "data.source.kind", "one of ring, grid"),
    ("train", "model=adain data.source.content.root=/no.jpg", "data.source.content.root", "china.jpg"),
    ("train", "sampler.precision=half", "sampler.precision", "one of 32-true, bf16-mixed"),
    # model and its parts
    ("train", "model.network.width=abc", "model.network.width", WHOLE),
    ("train", "model.network.width=-3", "model.network.width", AT_LEAST_1),
    ("train", "model.network.groups=0", "model.network.groups", AT_LEAST_1),
    ("train", "model.network.blocks=-1", "model.network", "multipliers and blocks must name at least one block"),
    ("train", "model.image_shape=[1,4,4]", "model.image_shape", "[1, 8, 8] as in data.shape"),
    ("train", "model.network.multipliers=[1,x]", "model.network.multipliers", "a list of whole numbers"),
    ("train", "model.network.multipliers=2", "model.network.multipliers", "a list of whole numbers"),
    ("train", "model.network.dropout=7", "model.network", "between 0 and 1"),
    ("train", "model.network=null", "model.network", "a Module"),
    ("train", "model.network._target_=genexp.ramps.Constant", "model.network", "a Module"),
    ("train", "model.schedule.steps=0", "model.schedule.steps", "at least 1"),
    ("train", "model.optimizer.lr=-1", "model.optimizer.lr", "a number of at least 0"),
    ("train", "model.optimizer.lr=inf", "model.optimizer.lr", "a number of at least 0"),
    ("train", "model.optimizer.lr=.inf", "model.optimizer.lr", "a number of at least 0"),
    ("train", "model.optimizer.lr=nan", "model.optimizer.lr", "a number of at least 0"),
    ("train", "model.optimizer.lr=true", "model.optimizer.lr", "a number of at least 0"),
    ("train", "model.optimizer.betas=[0.9]", "model.optimizer.betas", "a list of 2 numbers"),
    ("train", "model.optimizer.betas=[0.9,1]", "model.optimizer.betas", "below 1"),
    ("train", "model.optimizer._partial_=false", "model.optimizer", "_partial_"),
    ("train", "model.learning_rate=3", "model.learning_rate", "a Ramp"),
    ("train", "model.learning_rate.warmup=-1", "model.learning_rate.warmup", "at least 0"),
    ("train", "model.label_dropout=1", "model.label_dropout", "[0, 1)"),
    ("train", "model.clip=0", "model.clip", "above 0"),
    ("train", "model.clip=x", "model.clip", "a number or null"),
    ("train", "training.accumulate=0", "training.accumulate", AT_LEAST_1),
    ("train", "training.compile=yes_please", "training.compile", TRUTH),
    ("train", "model.num_classes=7", "model.num_classes", "null or 10"),
    ("train", "model.num_classes=x", "model.num_classes", WHOLE),
    ("train", "model=vae data=shapes data.image_size=128", "data.image_size", "a power of two from 8 to 64"),
    ("train", "model=gan model.critic.penalties.r1.weight=-1", "model.critic.penalties.r1.weight", "at least 0"),
    ("train", "model=vae model.beta.value=-1", "model.beta.value", "a number of at least 0"),
    ("train", "model=style model.optimizer.max_iter=0", "model.optimizer.max_iter", AT_LEAST_1),
    ("train", "data=shapes data.source.train_images=0", "data.source.train_images", "at least 1"),
    ("train", "trainer.strategy={a:1}", "trainer.strategy", "text"),
    ("train", "model.optimizer._partial_=2", "model.optimizer._partial_", TRUTH),
    ("train", "sampler._target_=os.system", "sampler._target_", "begin with one of"),
    ("train", "sampler.steps=${nope}", "sampler.steps", "Interpolation key 'nope' not found"),
    ("train", "sampler.steps=???", "sampler.steps", "given"),
    ("train", "name=???", "name", "given"),
    ("train", "data.image_size=???", "data.image_size", "given"),
    ("train", "model=gan model.critic_steps=0", "model.critic_steps", "at least 1"),
    ("train", "model=gan model.generator.norm=layers", "model.generator.norm", "one of"),
    ("train", "model=vae model.latent_size=0", "model.latent_size", "at least 1"),
    ("train", "model=vae model.free_bits_over=x", "model.free_bits_over", "image or batch"),
    ("train", "model=vae model.beta=1", "model.beta", "a Ramp"),
    (
        "train",
        "model=style model.features.weights=/no/file",
        "model.features.weights",
        "random or torchvision or the path of a file",
    ),
    ("train", "model=style model.features.last=relu9_9", "model.features.last", "one of conv1_1"),
    # sampler, extractor, metrics: of their own, and against the family
    ("train", "sampler=ddpm model=gan", "sampler", "must fit the model: DDPM draws from a Denoiser, got GAN"),
    ("train", "metrics=reconstruction", "metrics.reconstruction", "must compare sets of images or the model"),
    ("train", "metrics=[fd,lpips]", "metrics.lpips", "must compare sets of images or the model"),
    ("train", "sampler=latent model=diffusion", "sampler", "these fit: consistency, ddim, ddpm"),
    ("train", "sampler=latent_mixture model=gan", "sampler", "a model that encodes images, got GAN"),
    ("train", "sampler=latent_statistics model=gan model.generator.norm=none", "sampler", "batch norm"),
    (
        "train",
        "sampler=latent_style model=gan",
        "sampler",
        "a generator of styles, as stylegan2 is, got DCGANGenerator",
    ),
    ("train", "sampler=mapping model=vae", "sampler", "an ImageMap, got VAE"),
    ("train", "sampler=ddim model=style", "sampler", "a Denoiser, got StyleOptimisation"),
    ("train", "sampler/guidance=classifier_free", "sampler.guidance", "none for a model without classes"),
    (
        "train",
        "experiment=captions/shapes model.conditions.caption.left_out=0",
        "sampler.guidance",
        "model.conditions.caption.left_out must be above 0 in training",
    ),
    ("train", "sampler.guidance=2", "sampler.guidance", "type sampler.guidance.scale=2"),
    ("train", "sampler.steps=2000", "sampler.steps", "between 1 and the schedule's 1000"),
    ("train", "sampler.steps=x", "sampler.steps", WHOLE),
    ("train", "sampler=ddim sampler.eta=7", "sampler.eta", "[0, 1]"),
    (
        "train",
        "experiment=freeze_d/digits ~initial training.freeze=null",
        "initial",
        "where a recipe sets initial.reset",
    ),
    (
        "train",
        "model=gan model/critic/penalties=none model.critic.discriminator.pack=3 training.accumulate=2",
        "model.critic.discriminator.pack",
        "must divide micro-batches of 64 images",
    ),
    ("train", "extractor.asset=mnist", "extractor.asset", "one of cifar_vgg, digits_classifier"),
    ("train", "extractor=inception extractor.weights=/no", "extractor.weights", "the path of a file that exists"),
    ("train", "extractor=inception extractor.features=100", "extractor.features", "one of 64, 192, 768, 2048"),
    ("train", "metrics=kid metrics.kid.subsets=x", "metrics.kid.subsets", WHOLE),
    ("train", "metrics=precision_recall metrics.precision_recall.k=0", "metrics.precision_recall.k", "at least 1"),
    (
        "train",
        "metrics=lpips_diversity metrics.lpips_diversity.net=resnet",
        "metrics.lpips_diversity.net",
        "one of alex, vgg, squeeze",
    ),
    ("train", "metrics=fd model=adain", "metrics", "none for a model that maps given images"),
    # callbacks and loggers
    ("train", "callbacks.evaluate.num=1", "callbacks.evaluate.num", "at least 2"),
    ("train", "callbacks.evaluate.batch_size=0", "callbacks.evaluate.batch_size", "at least 1"),
    ("train", "callbacks.evaluate.floor=holdout", "callbacks.evaluate.floor", "one of train, val, test or null"),
    ("train", "callbacks.sample_grid.num=0", "callbacks.sample_grid.num", "at least 1"),
    ("train", "callbacks.sample_grid.columns=0", "callbacks.sample_grid.columns", "at least 1"),
    ("train", "callbacks.averaging.half_life=0", "callbacks.averaging.half_life", "a positive number"),
    ("train", "callbacks/post_hoc=power callbacks.post_hoc.widths=[1]", "callbacks.post_hoc.widths", "at most 0.2887"),
    ("train", "model=classifier callbacks/post_hoc=power", "callbacks.post_hoc", "null for Classifier"),
    ("train", "callbacks.averaging.half_life=[2e4,2e5]", "callbacks.averaging.ramp_up", "let half-lives differ"),
    ("train", "callbacks.checkpoints.every=0", "callbacks.checkpoints.every", AT_LEAST_1),
    ("train", "callbacks.checkpoints.directory=[a]", "callbacks.checkpoints.directory", "text"),
    ("train", "logger.wandb.mode=sometimes", "logger.wandb.mode", "one of offline, online, disabled"),
    ("train", "logger.wandb.largest=val", "logger.wandb.largest", "a list of texts"),
    # interpolations and what is not given
    ("train", "seed=${sede}", "seed", "Interpolation key 'sede' not found"),
    ("train", "seed=${seed}", "seed", "ecursive"),
    ("train", "seed=${oc.env:GENEXP_NOT_SET}", "seed", "GENEXP_NOT_SET"),
    ("train", "seed=???", "seed", "given"),
    # the other commands
    ("sample", "run=r num=x", "num", AT_LEAST_1),
    ("sample", "run=r num=0", "num", AT_LEAST_1),
    ("sample", "run=r num=null", "num", AT_LEAST_1),
    ("sample", "run=r batch_size=0", "batch_size", AT_LEAST_1),
    ("sample", "run=r seed=x", "seed", SEED),
    ("sample", "run=r threads=0", "threads", THREADS),
    ("sample", "run=r weights=mean", "weights", "one of averaged, raw"),
    ("sample", "run=r label=cat", "label", WHOLE),
    ("sample", "run=r label=-1", "label", WHOLE),
    ("sample", "run=r columns=0", "columns", AT_LEAST_1),
    ("sample", "run=r rows=0", "rows", AT_LEAST_1),
    ("sample", "run=r singles=2", "singles", TRUTH),
    ("sample", "run=r frames=1", "frames", "0 or a whole number of at least 2"),
    ("sample", "run=r interpolate=-2", "interpolate", "0 or a whole number of at least 2"),
    ("sample", "run=r device=abacus", "device", "one of auto, cpu, cuda"),
    ("sample", "run=r device=cuda", "device", "auto or cpu on a machine without a GPU"),
    ("sample", "run=[a,b] shares=[1,x]", "shares", "a list of numbers above 0, 2 at least or null"),
    ("sample", "run=r out=[a]", "out", "text or null"),
    ("evaluate", "run=r num=1", "num", "a whole number of at least 2 or null"),
    ("evaluate", "run=r num=x", "num", "a whole number of at least 2 or null"),
    ("evaluate", "run=r batch_size=x", "batch_size", AT_LEAST_1),
    ("evaluate", "run=r weights=[averaged,mean]", "weights", "one of averaged, raw"),
    ("evaluate", "run=r pictures=-1", "pictures", "a whole number of at least 0"),
    ("evaluate", "run=r grid=x", "grid", "a whole number of at least 0"),
    ("evaluate", "run=r wandb=2", "wandb", TRUTH),
    ("evaluate", "run=r device=cuda:1", "device", "on a machine without a GPU"),
    ("evaluate", "run=r seed=null", "seed", SEED),
    ("evaluate", "run={a:b}", "run", "text"),
    ("compare", "pictures=x", "pictures", "a number of at least 0"),
    ("compare", "page=2", "page", TRUTH),
    ("compare", "include=bad", "include", "debug, failed"),
    ("compare", "source=here", "source", "one of auto, training, evaluate"),
    ("compare", "protocols=any", "protocols", "one of split, refuse"),
    ("compare", "sort=[a]", "sort", "text or null"),
    ("reproduce", "ablations=a seeds=x", "seeds", LIST),
    ("reproduce", "ablations=a seeds=[a]", "seeds", LIST),
    ("reproduce", "ablations=a slots=zz", "slots", "auto, a whole number of at least 1"),
    ("reproduce", "ablations=a slots=0", "slots", "auto, a whole number of at least 1"),
    ("reproduce", "ablations=a threads=0", "threads", THREADS),
    ("reproduce", "ablations=a timeout=soon", "timeout", "a number above 0 or null"),
    ("reproduce", "ablations=a grace=-1", "grace", "a number of at least 0"),
    ("reproduce", "ablations=a plan=2", "plan", TRUTH),
    ("reproduce", "ablations=a train=x", "train", "a list of texts"),
    ("restore", "run=r input=a tile=8", "tile", "a whole number of at least 16 or null"),
    ("restore", "run=r input=a degrade=2", "degrade", TRUTH),
    ("restore", "run=r input=a other_run=o share=2", "share", "a number from 0 to 1 or null"),
    ("play", "run=r port=70000", "port", "a whole number from 0 to 65535"),
    ("play", "run=r device=cuda", "device", "on a machine without a GPU"),
    ("augment", "run=r out=o per_class=0", "per_class", "a whole number of at least 1 or null"),
    ("sample", "run=[a,b] soup=[1,0]", "soup", "uniform or a list of numbers above 0, 2 at least or null"),
    ("export", "run=r out=o format=pickle", "format", "diffusers"),
    (
        "export",
        "run=r out=o part=all",
        "part",
        "one of decoder, encoder, denoiser, sampler, stylizer",
    ),
    ("export", "run=r out=o label=-1", "label", "a whole number of at least 0 or null"),
    ("import", "folder=f name=../away", "name", "text that names a folder below the outputs"),
    ("sample", "run=r provenance=maybe", "provenance", TRUTH),
    ("sample", "run=r watermark=''", "watermark", "a key, text of at least one character or null"),
    ("sample", "run=r watermark_in=corners", "watermark_in", "one of pixels, noise"),
    ("sample", "run=r tile=0", "tile", "a whole number of at least 1 or null"),
    ("sample", "run=r watermark_strength=0", "watermark_strength", "a number of at most 64 above 0"),
    ("restore", "run=r input=a provenance=1", "provenance", TRUTH),
    ("stylize", "content=a style=b provenance=1", "provenance", TRUTH),
    ("stylize", "content=a style=b size=8", "size", "a whole number of at least 16 or null"),
    ("stylize", "content=a style=b steps=x", "steps", AT_LEAST_1),
    ("stylize", "content=a style=b alpha=2", "alpha", "a number from 0 to 1 or null"),
    ("stylize", "content=a style=b method=magic", "method", "one of gatys, adain, johnson, diffusion"),
    ("stylize", "content=a style=b device=cuda", "device", "on a machine without a GPU"),
]


@pytest.fixture
def without_devices(monkeypatch):
    """A machine with a CPU alone, wherever the test runs."""
    monkeypatch.setattr(devices, "gpu_count", lambda: 0)
    monkeypatch.setattr(devices, "has_mps", lambda: False)


def told(command, typed):
    """What validation says of a command line."""
    with initialised():
        config = compose(command, typed)
        if command in ("train", "sample"):
            return find_problems(config, command, Origins(overrides=typed))
        try:
            require_options(config, command)
        except InvalidConfig as error:
            return error.problems
        return []


def test_the_table_is_long_enough_and_has_no_line_twice():
    assert len({(command, typed) for command, typed, *_ in WRONG}) == len(WRONG) > 103
    assert {command for command, *_ in WRONG} == set(COMMANDS)


def packed():
    """The lines of the table, of commands' own keys several in one command line: composing takes longest."""
    packs, shared = [], []
    for line in WRONG:
        command, typed, key, _ = line
        alone = key in ("device", "run", "training.monitor") or (command == "train" and typed.split("=")[0] not in OWN)
        fits = [each for each in shared if each[0][0] == command and key not in {one[2] for one in each}]
        if fits and not alone:
            fits[0].append(line)
            continue
        packs.append([line])
        if not alone:
            shared.append(packs[-1])
    return packs


OWN = {*COMMANDS["train"], *(f"{section}.{key}" for section, rules in SECTIONS.items() for key in rules)}


@pytest.mark.parametrize("lines", packed(), ids=lambda lines: " ".join(lines[0][:2]))
def test_a_wrong_value_is_one_line_with_key_and_rule(lines, without_devices):
    command = lines[0][0]
    problems = told(command, list(dict.fromkeys(word for each in lines for word in each[1].split())))
    assert sorted(problem.key for problem in problems) == sorted(key for *_, key, _ in lines)
    for problem in problems:
        (rule,) = (rule for *_, key, rule in lines if key == problem.key)
        (line,) = str(InvalidConfig([problem])).splitlines()
        assert rule in line
        assert line.startswith(f"{problem.key}: ")


def test_all_problems_are_told_at_once_and_each_once(without_devices):
    typed = ["seed=abc", "model.network.width=abc", "model.optimizer.lr=-1", "trainer.precision=fp16", "name=../x"]
    problems = told("train", typed)
    assert {problem.key for problem in problems} == {each.split("=")[0] for each in typed}
    assert len(problems) == len(typed)
    first, *lines = str(InvalidConfig(problems)).splitlines()
    assert first == "5 keys are not valid:"
    assert all(f"(set by the command line: {each})" in "\n".join(lines) for each in typed)


@pytest.mark.parametrize("key", ["degradation.factor=5", "degradation.factor=0"])
def test_what_holds_a_refused_part_is_no_second_problem(key):
    (problem,) = told("train", ["experiment=espcn/photographs", f"model.conditions.source.{key}"])
    assert problem.key.startswith("model.conditions.source")
    assert "factor must divide" in str(problem) or "must be at least" in str(problem)


@pytest.mark.parametrize("group", ["sampler", "data", "model", "trainer", "training", "callbacks", "metrics", "paths"])
def test_a_group_that_needs_a_choice_is_not_null(group):
    (line,) = validate.problems_of("train", [f"{group}=null"])
    assert line.startswith(f"{group}: must be one of ")
    assert line.endswith(", got null")


@pytest.mark.parametrize("group", ["adapters", "initial", "debug"])
def test_a_group_that_may_be_empty_says_how(group):
    (line,) = validate.problems_of("train", [f"{group}=null"])
    assert line.startswith(f"{group}: must be one of ")
    assert line.endswith(f", got null (~{group} chooses none)")
    assert validate.problems_of("train", [f"~{group}"]) == []


@pytest.mark.parametrize(
    "typed",
    [
        "training.max_images=100_000 seed=0",
        "seed=4294967295 threads=2",
        "model.optimizer.lr=1",
        "model.optimizer.lr=0",
        "name=gan/mine notes=null group=a",
        "trainer.precision=32",
        "trainer.limit_val_batches=3",
        "trainer.limit_val_batches=0.5",
        "trainer=ddp_cpu",
        "trainer.deterministic=warn",
        "sampler=ddpm sampler.steps=10",
        "model=vae sampler=latent_mixture",
        "model=gan sampler=latent_statistics",
        "model=gan model/generator=stylegan2 sampler=latent_style",
        "model.num_classes=10 sampler/guidance=classifier_free sampler.guidance.scale=2",
        "callbacks.evaluate=null callbacks.sample_grid=null",
        "training.monitor=null",
        "training.monitor=val/loss",
        "data=folder data.source.root=.",
        "metrics=point_modes data=toy2d model/network=mlp extractor=coordinates sampler.clip=false",
    ],
)
def test_right_values_pass(typed, without_devices):
    assert [str(each) for each in told("train", typed.split())] == []


@pytest.mark.parametrize(
    ("typed", "key", "words"),
    [
        ("trainer=gpu trainer.devices=3", "trainer.devices", "at most 2, the GPUs of this machine, got 3"),
        ("trainer=gpu trainer.devices=[0,2]", "trainer.devices", "numbers below 2, the GPUs of this machine"),
        ("trainer=gpu trainer.devices='1,5'", "trainer.devices", "numbers below 2"),
        ("trainer=gpu", None, None),
        ("trainer=ddp", None, None),
        ("trainer=gpu trainer.devices=[1]", None, None),
        ("trainer=gpu trainer.precision=16-mixed", None, None),
    ],
)
def test_gpus_are_counted(typed, key, words, monkeypatch):
    monkeypatch.setattr(devices, "gpu_count", lambda: 2)
    problems = told("train", typed.split())
    assert [problem.key for problem in problems] == ([] if key is None else [key])
    assert words is None or words in str(problems[0])


def test_a_configuration_for_another_machine_is_not_held_against_this_one(without_devices):
    with initialised():
        for typed in (["trainer=gpu"], ["data=folder", "data.source.root=/nowhere"]):
            assert find_problems(compose("train", typed), "train", Origins(), here=False) == []
    assert validate.problems_of("train", ["trainer=ddp"]) == []
    (line,) = validate.problems_of("train", ["trainer=ddp"], here=True)
    assert "(set by conf/trainer/gpu.yaml)" in line


@pytest.mark.parametrize("name", validate.PRIMARIES)
def test_every_key_of_a_command_has_a_rule_which_its_default_follows(name):
    body = OmegaConf.load(conf_dir() / f"{name}.yaml")
    own = {str(key) for key in body} - {"defaults", "hydra"}
    assert own == set(COMMANDS[name])
    assert own <= declared_keys(name)
    with initialised():
        config = compose(name)
    plain = {key: config[key] for key in own if not OmegaConf.is_missing(config, key)}
    held = OmegaConf.to_container(OmegaConf.create(plain), resolve=True)
    assert [key for key, value in held.items() if not COMMANDS[name][key].accepts(value)] == []


def test_sections_without_a_target_have_rules_for_what_the_shipped_ones_hold():
    for section, rules in SECTIONS.items():
        for path in (conf_dir() / section).glob("*.yaml"):
            body = OmegaConf.load(path)
            assert set(body.get(section, body)) <= set(rules), path


def genexp(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "genexp", *arguments], cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_the_command_line_says_it_in_one_line_before_torch_and_leaves_nothing(tmp_path):
    code = (
        "import sys; from genexp.__main__ import main\n"
        "try: main(['train', 'seed=abc', 'threads=0', 'logger=none'][:int(sys.argv[1])])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    for count, lines in ((2, 1), (3, 3)):
        done = subprocess.run([sys.executable, "-c", code, str(count)], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.split() == ["1", "False"]
        assert len(done.stderr.splitlines()) == lines
        assert "genexp train: " in done.stderr
        assert not list(tmp_path.iterdir())


def test_a_run_that_is_not_valid_leaves_no_folder(tmp_path):
    valid = [each for each in tiny.overrides_for("diffusion") if not each.startswith("sampler.")]
    for typed in ("model.schedule.steps=0", "sampler=latent", "model.optimizer.lr=inf", "trainer.strategy=ddp_spawn"):
        with pytest.raises(InvalidConfig):
            tiny.run([*valid, typed, f"paths.outputs={tmp_path}/runs"])
    assert not (tmp_path / "runs").exists()


def test_other_commands_ask_before_they_look_for_a_run():
    for command, name, typed in ((sample, "sample", "num=0"), (evaluate, "evaluate", "num=0")):
        with pytest.raises(InvalidConfig, match="num: must be a whole number"):
            command(compose(name, ["run=nowhere", typed]))


@pytest.mark.parametrize(
    ("where", "key", "value", "rule"),
    [
        ("hydra.launcher", "timeout", "abc", "a number above 0 or null"),
        ("hydra.launcher", "grace", "x", "a number of at least 0"),
        ("hydra.launcher", "slots", "zz", "auto, a whole number of at least 1"),
        ("hydra.launcher", "preload", 1, "auto or true or false"),
        ("hydra.launcher", "cpus_per_task", 0, AT_LEAST_1),
        ("hydra.launcher", "poll", 0, "a number above 0"),
        ("hydra.sweeper", "n_trials", "abc", "a whole number of at least 1 or null"),
        ("hydra.sweeper", "at", "first", "one of auto, best, last"),
        ("hydra.sweeper", "seed", -1, SEED),
    ],
)
def test_what_hydra_hands_to_a_launcher_or_sweeper_is_checked(where, key, value, rule):
    with pytest.raises(InvalidConfig) as refused:
        require_settings({key: value}, where)
    assert str(refused.value).startswith(f"{where}.{key}: must be {rule}")


@pytest.mark.parametrize("kind", ["launcher", "sweeper"])
def test_shipped_launchers_and_sweepers_follow_their_rules(kind):
    for path in (conf_dir() / "hydra" / kind).glob("*.yaml"):
        held = OmegaConf.to_container(OmegaConf.load(path))
        held.pop("defaults", None)
        require_settings(held, f"hydra.{kind}")


def test_what_lightning_refuses_is_one_line():
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    assert errors.told(MisconfigurationException("no such plug-in")) == "no such plug-in"


def test_validate_takes_the_name_of_another_command(capsys):
    assert validate.main(["sample", "run=x", "num=0"]) == 1
    out = capsys.readouterr().out
    assert "num: must be a whole number of at least 1, got 0 (set by the command line: num=0)" in out


@pytest.mark.parametrize("override", ["~model", "~trainer.devices", "~training.max_images", "~callbacks"])
def test_what_every_training_needs_may_not_be_taken_away(override):
    (problem,) = validate.problems_of("train", [override])
    key = override.removeprefix("~")
    assert problem == f"{key}: must be set, and {override} takes it away (set by the command line: {override})"


def test_what_a_training_can_do_without_may_be_taken_away():
    assert validate.problems_of("train", ["~metrics.fd", "~logger"]) == []


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        (
            ["experiment=video/moving_shapes", "data.image_size=16"],
            "data.image_size: must be null, got image_size 16 and shape",
        ),
        (
            ["experiment=ldm/shapes", "data.image_size=60"],
            "model.network: must take codes .*: sides must be divisible",
        ),
    ],
    ids=["video", "codes"],
)
def test_sizes_that_do_not_fit_are_told_by_their_rule(typed, problem):
    (line,) = validate.problems_of("train", typed)
    assert re.match(problem, line), line
