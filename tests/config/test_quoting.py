"""Paths and texts may have any letters and look like numbers: quotes keep them from Hydra's grammar."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from genexp.ablations.checks import texts_of
from genexp.commands.typed_arguments import of_reproduce
from genexp.config.quoting import text_quoted, typed_texts, unquoted
from genexp.config.text_keys import is_text
from genexp.sweeps.question import question_of
from genexp.sweeps.study.study_plan import make_plan

NUMBERS = ["42", "007", "-5", "+5", "1_000", "1e3", "1.", ".5", "nan", "inf", "-INF", "true", "False", "0", "1e999"]
TEXTS = [
    *("on", "yes", "off", "2024-01-01", "12:30", "1.2.3", "a,b", "a, b", "it's here", "(a)", "why? #3", "a=b", "ü"),
    *("outputs/my sweep ü/002", "w=1,eta=0.png", "plain/path-1.ckpt", "~/x", "runs/**", "~", "x]", "a{b", "C:\\new\\",
      "\\\\server\\share", "'tis", "'a' and 'b'", 'say "no"', "nullable", "glob", "1,2"),
]  # fmt: skip


def value_of(argument):
    """What Hydra makes of an override: a text, quoted or not, another value, or containers of such."""
    (parsed,) = OverridesParser.create().parse_overrides([argument])
    return parsed.value()


def jobs_of(argument):
    """What the jobs of Hydra's own sweeper make of an override; functions lose the quotes of what they are given."""
    (parsed,) = OverridesParser.create().parse_overrides([argument])
    return [value_of(text_quoted(f"{parsed.get_key_element()}={each}")) for each in parsed.sweep_string_iterator()]


@pytest.mark.parametrize("key", ["run", "name", "data.source.root", "+notes", "logger.wandb.project", "experiment"])
@pytest.mark.parametrize("text", [*NUMBERS, *TEXTS])
def test_a_text_arrives_as_it_was_typed(key, text):
    if key == "experiment" and "," in text:
        pytest.skip("commas part choices")
    quoted = text_quoted(f"{key}={text}")
    assert value_of(quoted) == text
    assert unquoted(quoted.split("=", 1)[1]) == text
    assert text_quoted(quoted) == quoted, "jobs and resumed runs are given what was recorded"


@pytest.mark.parametrize("text", [*NUMBERS, "on", "ü", "it's", "a b"])
def test_elements_of_lists_are_texts(text):
    assert value_of(text_quoted(f"tags=[a,{text}, {text} ,null]")) == ["a", text, text, None]


@pytest.mark.parametrize("text", [*NUMBERS, "on", "ü", "it's", "a b"])
def test_in_a_sweep_every_value_is_a_text(text):
    (argument,) = typed_texts(["-m", f"name=a,{text}"])[1:]
    assert jobs_of(argument) == ["a", text]
    assert jobs_of(text_quoted(f"name=choice({text},b)", several=True)) == [text, "b"]
    assert jobs_of(text_quoted(f"tags=[{text}],[a,{text}]", several=True)) == [[text], ["a", text]]
    assert jobs_of(text_quoted("name='a,b',c", several=True)) == ["a,b", "c"]
    assert jobs_of(text_quoted(r"name=a\,b,c", several=True)) == ["a,b", "c"]
    assert jobs_of("name=sort('b c',a)") == ["a", "b c"]


@pytest.mark.parametrize(
    "typed", ["sort(10,9,1e3)", "sort(9,1e3,10,reverse=true)", "shuffle(9,10,1e3)", "choice(10,1e3,9)"]
)
def test_functions_over_number_like_texts_leave_the_texts(typed):
    found = jobs_of(text_quoted(f"name={typed}", several=True))
    assert sorted(found) == ["10", "1e3", "9"]
    if typed.startswith("sort"):
        assert found == sorted(found, reverse="reverse" in typed)
    assert text_quoted(f"seed={typed}", several=True) == f"seed={typed}"
    assert text_quoted("name=shuffle(range(1,3))", several=True) == "name=shuffle(range(1,3))"


def test_commas_part_values_only_where_several_runs_are_asked_for():
    for flags in (["-m"], ["--multirun"], ["hydra.mode=MULTIRUN"], ["sweep=gan_stability"]):
        assert typed_texts([*flags, "notes=1,b"])[-1] == "notes='1',b"
    for flags in ([], ["sweep=null"]):
        assert typed_texts([*flags, "notes=1,b"])[-1] == "notes='1,b'"


@pytest.mark.parametrize(
    "typed",
    [
        *("run=[a,b]", "run='x y'", 'run="4"', "resume=auto", "out=null", "out=NULL", "out=", "runs=outputs/**"),
        *("seed=0,1", "seed=42", "model.network.width=16", "-m", "run", "~name", "--config-dir=42", "hydra.mode=RUN"),
        *(
            "name=${seed}",
            "name=run ${seed}",
            "model=glob(g*)",
            "model=gan,vae",
            "tags=[]",
            "logger=[wandb,csv]",
            "by=a,b",
        ),
        *("training={max_images: 5}", "callbacks.evaluate.num=8", "+trainer.limit_val_batches=1", "splits=4"),
    ],
)
def test_what_the_grammar_reads_or_what_is_no_text_is_left_alone(typed):
    assert text_quoted(typed) == typed
    assert text_quoted(typed, several=True) == typed


def test_texts_inside_a_mapping_are_texts():
    typed = text_quoted("logger.wandb={project: 42, group: [7], largest: [a], offline: true}")
    assert value_of(typed) == {"project": "42", "group": ["7"], "largest": ["a"], "offline": True}


def test_an_ablation_named_by_a_number_and_its_further_overrides():
    assert value_of(of_reproduce("ablation=2024")) == "2024"
    assert value_of(of_reproduce("ablation=1e3")) == "1e3"
    given = value_of(of_reproduce("train=[name=42,tags=[1,2],notes='a, b']"))
    assert [text_quoted(str(each)) for each in texts_of([str(each) for each in given], "train")] == [
        "name='42'",
        "tags=['1','2']",
        "notes='a, b'",
    ]


def test_a_search_over_texts_takes_them_as_texts():
    space = {"name": {"choices": ["007", "1e3"]}, "seed": {"choices": [1, 2]}}
    plan = make_plan(question_of("q", {"metric": "fd", "space": space, "overrides": ["notes=7"]}), [])
    assert [value_of(text_quoted(each)) for each in plan.examples()[0]] == ["7", "007", 1]
    typed = typed_texts(["-m", "hydra/sweeper=optuna", "name=1,1e3"])[-1:]
    plan = make_plan(question_of("q", {"metric": "fd", "space": {"seed": {"choices": [1, 2]}}}), typed)
    assert sorted(value_of(each) for job in plan.examples() for each in job if "name" in each) == ["1", "1", "1e3"]


@pytest.mark.parametrize("choice", [7, 1000.0, True])
def test_a_search_file_whose_texts_yaml_has_read_as_numbers_is_refused_by_name(choice):
    with pytest.raises(ValueError, match=rf"^space.name of sweep q must have texts .* in quotes .* got {choice}$"):
        question_of("q", {"metric": "fd", "space": {"name": {"choices": ["a", choice]}}})


def test_keys_are_known_with_their_signs_packages_and_places():
    for key in (
        "name",
        "+name",
        "++data.source.root",
        "optimizer@model.optimizer",
        "model/network",
        "tags.0",
        "paths.x",
    ):
        assert is_text(key), key
    for key in ("seed", "training.max_images", "model.optimizer.lr", "callbacks.averaging", "", "0"):
        assert not is_text(key), key
