"""Every shipped ablation composes at every scale, and draws with what it trains."""

import pytest

from genexp.ablations.finding import ablation_files
from genexp.ablations.plan import make_plan
from genexp.ablations.spec import read_ablation, scales_of
from genexp.ablations.variants import with_every_value
from genexp.config.check import problems_of

FILES = ablation_files("glob(*)")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_value_of_every_axis_composes(path):
    typical, drawn = {}, {}
    scales = scales_of(path)
    assert {"cpu", "gpu", "paper"} <= {*scales}
    for scale in scales:
        plan = make_plan(read_ablation(path, scale), [])
        chosen = with_every_value(plan.variants) if scale == "cpu" else plan.variants[:1]
        for drawing in plan.drawings:
            if drawing.variant in chosen:
                typical[tuple(drawing.training.composable({}))] = scale
                if plan.ablation.evaluate is not None:
                    drawn[tuple(plan.ablation.evaluate)] = scale
    assert typical
    for overrides, scale in typical.items():
        assert not problems_of("train", list(overrides)), scale
    for overrides, scale in drawn.items():
        typed = [f"++{each}" if each.startswith("sampler.") else each for each in overrides]  # as the command does
        problems = problems_of("evaluate", ["run=x", *typed])
        assert not [each for each in problems if "Interpolation key 'data." not in each], scale  # the run's own data


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_paper_is_named_wherever_numbers_are_reported(path):
    ablation = read_ablation(path, "cpu")
    assert len(ablation.seeds) >= 3
    assert ablation.paper is not None or not ablation.reported
    for reported in ablation.reported:
        assert reported.source
        assert reported.protocol
        assert reported.values
    assert all(claim.source for claim in ablation.claims)
