"""What other libraries call our keys and choices leads to names that there are."""

import pytest
from omegaconf import OmegaConf

from genexp.config.check import problems_of
from genexp.config.compose import compose, conf_dir, initialised
from genexp.config.composition_errors import options
from genexp.config.field_words import CHOICES, KEYS, UNITS, meant_choice
from genexp.config.keys import flat
from genexp.files.yaml_records import read_yaml

SEVERAL = (
    ["train", "sampler=ddim", "sampler/guidance=classifier_free", "model/weighting=min_snr", "model/schedule=linear"],
    ["train", "model=gan", "model/critic/penalties=[gradient_penalty,r1]", "model/critic/constraints=weight_clip"],
    ["train", "model=vae"],
    ["sample"],
)


def test_every_target_is_a_key_or_a_group_of_some_configuration():
    known = set()
    for name, *overrides in SEVERAL:
        with initialised():
            known |= flat(OmegaConf.to_container(compose(name, overrides))).keys()
    groups = {str(path.relative_to(conf_dir())) for path in conf_dir().rglob("*") if path.is_dir()}
    targets = {key for keys in KEYS.values() for key in keys} | UNITS.keys()
    assert targets - known - groups == set()
    assert KEYS.keys() & {key.rpartition(".")[2] for key in known} <= {"eta", "warmup", "device"}


def test_every_choice_is_there_with_what_stands_beside_it():
    for word, table in CHOICES.items():
        groups = [str(path.relative_to(conf_dir())) for path in conf_dir().rglob(word) if path.is_dir()]
        known = {name: f"{group}/{name}" for group in groups for name in options(group)}
        for typed, found in table.items():
            name, *beside = found.split()
            assert name in known, (word, typed)
            for each in beside:
                key, _, value = each.partition("=")
                if "/" in key:
                    assert value in options(key)
                else:
                    assert key.rpartition(".")[2] in read_yaml(conf_dir() / f"{known[name]}.yaml")


@pytest.mark.parametrize(
    ("typed", "meant"),
    {
        "dpm++": "dpm_solver_2m",
        "dpmpp_2m": "dpm_solver_2m",
        "dpm++2m": "dpm_solver_2m",
        "DPMSolverMultistep": "dpm_solver_2m",
        "DPMSolverMultistepScheduler": "dpm_solver_2m",
        "k_euler": "euler",
        "EulerDiscreteScheduler": "euler",
        "euler_a": "ddim sampler.eta=1",
        "ddim50": "ddim sampler.steps=50",
        "DDIMScheduler": "ddim",
        "UniPCMultistepScheduler": "unipc",
        "uni_pc": "unipc",
        "dpm_2": "dpm_solver sampler.order=2",
        "dpm++2m20": "dpm_solver_2m sampler.steps=20",
    }.items(),
)
def test_the_names_of_samplers_elsewhere(typed, meant):
    assert " ".join(meant_choice("sampler", typed, options("sampler"))).strip() == meant


def test_a_name_that_is_nobodys_is_not_guessed():
    assert meant_choice("sampler", "magic", options("sampler")) is None
    assert meant_choice("data", "dpm++", options("data")) is None


LINES = {
    ("train", "num_inference_steps=20"): "did you mean sampler.steps?",
    ("train", "model.num_train_timesteps=500"): "did you mean model.schedule.steps?",
    ("train", "ema_decay=0.999"): "callbacks.averaging.half_life (in images: batch size x ln 2 / -ln(decay))?",
    ("train", "epochs=3"): "did you mean training.max_images (in images)?",
    ("train", "cfg=3"): "it is sampler.guidance.scale: type sampler/guidance=classifier_free too, which has one",
    ("train", "n_critic=5"): "it is model.critic_steps of model=gan",
    ("train", "lambda_gp=10"): "gradient_penalty.weight of model/critic/penalties=gradient_penalty",
    ("train", "model.prediction_type=v_prediction"): "did you mean model/prediction=velocity?",
    ("train", "beta_schedule=squaredcos_cap_v2"): "did you mean model/schedule=cosine?",
    ("train", "ckpt_path=x"): "did you mean resume?",
    ("train", "sampler=dpm++2m"): "got 'dpm++2m'; did you mean dpm_solver_2m?",
    ("train", "sampler=ddim50"): "got 'ddim50'; did you mean sampler=ddim sampler.steps=50?",
    ("sample", "num_inference_steps=20"): "did you mean sampler.steps?",
    ("sample", "num_samples=20"): "did you mean num?",
    ("evaluate", "ckpt_path=x"): "did you mean run?",
    ("train", "max_epochs=3"): "does not exist: training.max_images is the length",
    ("train", "max_epoch=3"): "does not exist: training.max_images is the length",
    ("restore", "images=x"): "pictures are input=... of genexp restore and content=... of genexp stylize",
}


@pytest.mark.parametrize("typed", LINES)
def test_the_line_ends_in_what_to_type(typed):
    (line,) = problems_of(typed[0], [typed[1]])
    assert line.endswith(LINES[typed])


ADDED = {
    "model.optimizer.amsgrad=true": True,
    "trainer.max_time=00:01:00:00": True,
    "callbacks.mine._target_=x.Y": True,
    "model.netwrk.width=8": False,
    "data.source.colour=red": False,
    "training.every=3": False,
    "speed=3": False,
    "trainer.max_epoch=3": False,
}


@pytest.mark.parametrize("override", ADDED)
def test_a_key_is_said_to_be_added_where_something_takes_it(override):
    (line,) = problems_of("train", [override])
    assert line.endswith(f"(+{override} adds a new key)") == ADDED[override]
