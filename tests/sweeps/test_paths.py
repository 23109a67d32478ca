"""Paths may have any letters; what Hydra's grammar cannot read as typed is put into quotes for it."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from genexp.sweeps.paths import path_quoted


@pytest.mark.parametrize(
    "path",
    ["outputs/my sweep ü/002", "it's here", "a,b", "w=1,eta=0.png", "plain/path-1.ckpt", "~/x", "runs/**", "(a)"],
)
def test_a_path_arrives_as_it_was_typed(path):
    (parsed,) = OverridesParser.create().parse_overrides([path_quoted(f"run={path}")])
    assert parsed.value() == path


@pytest.mark.parametrize(
    "typed",
    ["run=[a,b]", "run='x y'", "resume=auto", "out=null", "runs=outputs/**", "seed=0,1", "name=a b", "-m", "run"],
)
def test_what_the_grammar_reads_is_left_alone(typed):
    assert path_quoted(typed) == typed
