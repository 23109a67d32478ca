"""An ablation of two axes that act when images are drawn, and one that acts in training."""

from genexp.ablations.spec import Ablation

NOISE = Ablation(
    name="noise",
    scale="cpu",
    title="Noise",
    question="",
    paper=None,
    experiment="ddim/digits",
    overrides=["metrics=none"],
    axes={
        "eta": {"0": ["sampler.eta=0"], "1": ["sampler.eta=1"]},
        "weights": {"averaged": ["weights=averaged"], "raw": ["weights=raw"]},
        "width": {"16": ["model.network.width=16"], "32": ["model.network.width=32"]},
    },
    search=None,
    evaluate=["metrics=[fd]", "num=100"],
    metrics=["fd"],
    seeds=[0, 7],
    reported=[],
    claims=[],
    remarks="",
    words={},
)
