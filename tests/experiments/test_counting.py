"""Length is counted in images, whatever the number of optimiser steps Lightning sees."""

import pytest

import tiny


@pytest.mark.parametrize(
    ("family", "extra"),
    [
        pytest.param("diffusion", ["model.network.width=8"], marks=pytest.mark.slow),
        ("vae", ["model/encoder=mlp", "model/decoder=mlp"]),
        pytest.param("gan", ["model.critic_steps=1"], marks=pytest.mark.slow),
        ("gan", ["model.critic_steps=3"]),
        ("gan", ["model.critic_steps=5", "training.accumulate=2"]),
    ],
)
def test_12800_images_at_batch_128_are_100_batches(family, extra):
    overrides = [*tiny.overrides_for(family), *extra, "data.batch_size=128", "data.limit=null"]
    folder = tiny.run([*overrides, "training.max_images=12800", "training.evaluate_every=12800"])
    counters = tiny.checkpoint(folder)["counters"]
    assert counters["batches"] == 100
    assert counters["images_seen"] == 12_800
    if family == "gan":
        critic_steps = int(extra[0].split("=")[1])
        assert counters["steps"] == {"critic": 100, "generator": 100 // critic_steps}
    else:
        assert list(counters["steps"].values()) == [100]


def test_style_counts_one_image_a_step():
    folder = tiny.run(tiny.overrides_for("style"))
    assert tiny.checkpoint(folder)["counters"]["batches"] == 8


def test_the_log_has_one_axis_and_evaluations_where_they_belong():
    folder = tiny.run(tiny.overrides_for("vae"))
    history = folder.history()
    assert [row["images_seen"] for row in history if any(k.startswith("fd/") for k in row)] == [128, 256, 320]
    assert [row["images_seen"] for row in history if "train/loss" in row] == [64, 128, 192, 256, 320]
