"""Low-rank updates of trained weights: what they add, what stands still, and what a finished run has of them."""

import pytest
import torch
from torch import nn

import tiny
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.families.low_rank import LowRank, LowRankUpdate, merge
from genexp.inference.run import load_run

SHORT = ["data.batch_size=8", "training.evaluate_every=64", "training.checkpoint_every=8", "metrics=none"]
TYPED = ["experiment=cfg/digits", *tiny.COMMON, *SHORT, *tiny.SMALL["diffusion"], "training.max_images=16"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.run([*TYPED, f"paths.outputs={tmp_path_factory.mktemp('base')}"])


def adapted(base, outputs, *typed):
    beginning = ["initial=run", f"initial.run={base.path}", "adapters=low_rank", "adapters.rank=2"]
    return [*TYPED, *beginning, f"paths.outputs={outputs}", *typed]


def test_an_update_adds_the_product_of_two_matrices():
    torch.manual_seed(0)
    for layer in (nn.Linear(5, 4), nn.Conv2d(3, 4, 3)):
        weight = layer.weight.detach().clone()
        update = LowRankUpdate(layer.weight, rank=2, alpha=3.0)
        assert torch.equal(update(weight), weight)
        nn.init.normal_(update.b)
        product = (update.b @ update.a).reshape(weight.shape)
        assert torch.allclose(update(weight), weight + 1.5 * product)
        assert torch.linalg.matrix_rank((update(weight) - weight).flatten(1)) == 2
        update.scale = 0.0
        assert torch.equal(update(weight), weight)


def test_the_model_is_the_base_at_first_and_merged_weights_say_the_same_bit_for_bit():
    model, base = (build(compose("train", TYPED).model).eval() for _ in range(2))
    base.load_state_dict(model.state_dict())
    names = set(dict(model.named_parameters()))
    still = LowRank(rank=2).adapt(model)
    assert {name.replace("parametrizations.weight.original", "weight") for name in still} == names
    told = torch.randn(2, 1, 8, 8), torch.tensor([3, 500]), {"label": torch.tensor([1, 10])}
    with torch.no_grad():
        for parameter in base.network.parameters():
            parameter.add_(0)
        assert torch.equal(model.network(*told), base.network(*told))
        for each in model.modules():
            if isinstance(each, LowRankUpdate):
                nn.init.normal_(each.b)
        made = model.network(*told)
        assert not torch.allclose(made, base.network(*told))
        merge(model)
        assert torch.equal(model.network(*told), made)
    assert model.state_dict().keys() == base.state_dict().keys()


def test_a_run_trains_the_updates_alone_and_ends_with_ordinary_weights(base, tmp_path, capsys):
    folder = tiny.run(adapted(base, tmp_path))
    assert "adapters    " in capsys.readouterr().err
    before, after = tiny.checkpoint(base), tiny.checkpoint(folder)
    begun = before["averaged"]["modules"]["network"]
    learned = 0
    for name, value in after["averaged"]["modules"]["network"].items():
        if ".parametrizations.weight.0." in name:
            learned += int(name.endswith(".b") and bool(value.abs().sum() > 0))
        else:
            assert torch.equal(value, begun[name.replace("parametrizations.weight.original", "weight")])
    assert learned > 4
    model = load_run(folder.path).model
    assert model.state_dict().keys() == load_run(base.path).model.state_dict().keys()
    further = tiny.run([*TYPED, "initial=run", f"initial.run={folder.path}", f"paths.outputs={tmp_path}/further"])
    assert further.metrics  # an adapted run is one to begin with like any other


def test_a_run_of_updates_is_resumed_bitwise(base, tmp_path):
    longer = ["training.max_images=32", "ramp@model.learning_rate=constant"]
    whole = tiny.run(adapted(base, tmp_path / "whole", *longer))
    half = tiny.run(adapted(base, tmp_path / "half", longer[1]))
    tiny.run(adapted(base, tmp_path / "half", *longer, f"resume={half.path}"))
    one, other = tiny.checkpoint(whole), tiny.checkpoint(half)
    for part in ("state_dict", "optimizer_states", "averaged", "counters"):
        assert tiny.differences(one[part], other[part], part) == []
    with pytest.raises(ValueError, match=r"adapters.rank must stay 2 .* holds what they have learned"):
        tiny.run(adapted(base, tmp_path / "half", "adapters.rank=3", f"resume={half.path}"))


def test_a_gan_adapts_its_generator_and_trains_its_critic():
    model = build(compose("train", ["model=gan", *tiny.SMALL["gan"]]).model)
    still = LowRank(rank=2).adapt(model)
    model.freeze([], still)
    generator, critic = (
        update.made(model.frozen_layers.moving(update.parameters())) for update in model.updates.values()
    )
    updates = [p for each in model.generator.modules() if isinstance(each, LowRankUpdate) for p in each.parameters()]
    if model.updates["critic"].parameters()[0] is generator.param_groups[0]["params"][0]:
        generator, critic = critic, generator
    assert {id(p) for p in generator.param_groups[0]["params"]} == {id(p) for p in updates}
    assert {id(p) for p in critic.param_groups[0]["params"]} == {id(p) for p in model.critic.parameters()}


REFUSED = {
    "rank": (["adapters.rank=0"], "adapters.rank: must be at least 1, got 0"),
    "alpha": (["adapters.alpha=-1"], "adapters.alpha: must be at least 0 or null, got -1"),
    "layers": (
        ["adapters.layers=[network.midle]"],
        "must name layers of the model that have weights, got network.midle",
    ),
    "none": (["adapters.layers=[network.norm]"], "must leave linear or convolution layers of at least 2 channels"),
}


@pytest.mark.parametrize(("typed", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_adapted_is_refused(typed, told, base, tmp_path):
    (problem,) = problems_of("train", adapted(base, tmp_path, *typed))
    assert told in problem


def test_updates_of_what_nothing_has_trained_are_refused():
    (problem,) = problems_of("train", [*TYPED, "adapters=low_rank"])
    assert "adapters: must be null without initial=run, whose weights they add to" in problem
