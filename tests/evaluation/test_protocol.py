import dataclasses
import json

import pytest

from genexp.evaluation.protocol import IMAGES, OFFICIAL_INCEPTION, DifferentProtocols, Protocol, describe, require_same

PROTOCOL = Protocol(
    metric="fd",
    settings="FrechetDistance()",
    extractor="digits_classifier",
    extractor_digest="0123456789abcdef",
    input_size=8,
    resize="torch_antialias",
    quantiser="uint8",
    reference="train",
    reference_digest="feed",
    n_reference=1197,
    n_generated=1000,
    seed=0,
    weights="averaged",
    sampler="DDIM(steps=20)",
)


def test_a_value_is_named_after_its_metric_and_its_features():
    assert PROTOCOL.key == "fd/digits_classifier@01234567"
    assert PROTOCOL.floor_key == "fd_floor/digits_classifier@01234567"


def test_only_the_official_inception_gives_an_fid():
    official = dataclasses.replace(
        PROTOCOL, extractor="inception", extractor_digest=OFFICIAL_INCEPTION + "0" * 56, resize="tf1_legacy"
    )
    assert (official.key, official.floor_key) == ("fid", "fid_floor")
    for other in ({"extractor_digest": "ff" * 32}, {"extractor": "inception64"}, {"resize": "torch_antialias"}):
        assert dataclasses.replace(official, **other).key.startswith("fd/inception")


def test_a_protocol_is_plain_json():
    assert Protocol.read(json.loads(json.dumps(PROTOCOL.record()))) == PROTOCOL
    with pytest.raises(ValueError, match="fields of a protocol, got one that differs in colour, seed"):
        Protocol.read({k: v for k, v in PROTOCOL.record().items() if k != "seed"} | {"colour": 1})


def test_a_value_of_the_images_themselves_has_no_suffix():
    assert dataclasses.replace(PROTOCOL, metric="psnr", extractor=IMAGES).key == "psnr"


@pytest.mark.parametrize(
    ("field", "value"),
    [("reference_digest", "beef"), ("n_generated", 999), ("resize", "none"), ("settings", "KernelDistance(degree=2)")],
)
def test_values_that_were_measured_differently_do_not_share_a_column(field, value):
    other = dataclasses.replace(PROTOCOL, **{field: value})
    ours = getattr(PROTOCOL, field)
    with pytest.raises(DifferentProtocols) as error:
        require_same({"ours": PROTOCOL, "theirs": other})
    assert str(error.value).endswith(f"{field} is {ours} for ours and {value} for theirs")


def test_values_of_other_samples_measured_alike_share_a_column():
    require_same({"a": PROTOCOL, "b": dataclasses.replace(PROTOCOL, seed=3, weights="raw", sampler="DDPM()")})


def test_a_sampler_is_described_by_its_plain_settings():
    class DDIM:
        def __init__(self):
            self.steps, self.eta, self.grid, self._cache = 20, 0.0, object(), 3

    assert describe(DDIM()) == "DDIM(eta=0.0, steps=20)"
