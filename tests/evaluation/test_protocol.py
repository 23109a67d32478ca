import dataclasses
import json

from genexp.evaluation.protocol import OFFICIAL_INCEPTION, Protocol, describe

PROTOCOL = Protocol(
    metric="fd",
    extractor="digits_classifier",
    extractor_digest="0123456789abcdef",
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
    assert Protocol(**json.loads(json.dumps(PROTOCOL.record()))) == PROTOCOL


def test_a_sampler_is_described_by_its_plain_settings():
    class DDIM:
        def __init__(self):
            self.steps, self.eta, self.grid, self._cache = 20, 0.0, object(), 3

    assert describe(DDIM()) == "DDIM(eta=0.0, steps=20)"
