"""The further terms that an objective of style takes from the group model/style_term."""

import pytest

from genexp.commands.validate import options
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.losses.style_objective import StyleTerm


@pytest.mark.parametrize("choice", options("model/style_term"))
def test_every_term_stands_beside_the_main_one_by_its_name(choice):
    given = [f"+model/style_term@model.extra_terms.mine={choice}", "model.extra_terms.mine.weight=7"]
    config = compose("train", ["model=style", "model/features=cifar_vgg", *given])
    term = build(config.model.extra_terms.mine)
    assert isinstance(term, StyleTerm)
    assert term.weight == 7
    assert build(config.model).objective.weights["mine"] == 7
