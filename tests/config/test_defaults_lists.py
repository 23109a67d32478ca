"""What a recipe chooses is known through those that it builds on, the shared ones that nobody chooses among them."""

import pytest

from genexp.config.defaults_lists import choices_of, named_by


@pytest.mark.parametrize(
    ("experiment", "model", "data"),
    [
        ("toy/ring8", "gan", "toy2d"),
        ("sngan/cifar10", "gan", "cifar10"),
        ("lcm/shapes", "diffusion", "shapes"),  # through captions/attended and what that shares
        ("acgan/cifar10", "gan", "cifar10"),  # not the digits of the recipe that it builds on
    ],
)
def test_choices_of_a_recipe_are_those_of_what_it_builds_on_unless_it_has_its_own(experiment, model, data):
    found = choices_of(experiment)
    assert (found["model"], found["data"]) == (model, data)


def test_a_choice_is_named_with_the_file_that_makes_it():
    files = {group: file for file, group, _ in named_by("toy/ring8")}
    assert files["data"] == "conf/experiment/toy/_gan.yaml"
    assert not list(named_by("nowhere"))
