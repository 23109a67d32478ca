"""A configuration builds parts and nothing else: whatever a `_target_` says, and however it is reached."""

import sys

import pytest
import torch
from omegaconf import OmegaConf

from genexp.config.compose import conf_dir
from genexp.config.instantiate import build
from genexp.config.monitor import value_directions
from genexp.config.targets import ALLOWED, FACTORIES, UNSAFE, locate, require_allowed, targets


class Payload:
    """What unpickling turns into a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_no_pickle_is_read_by_way_of_a_module_that_imports_torch(tmp_path):
    torch.save(Payload(tmp_path / "ran"), tmp_path / "evil.pt")
    node = {"_target_": "torch.nn.functional.torch.load", "f": str(tmp_path / "evil.pt"), "weights_only": False}
    with pytest.raises(ValueError, match=r"_target_ must name a class that torch\.nn defines, .* of torch\.serializ"):
        build(node)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("genexp.__main__.main", "begin with one of genexp.adversarial."),
        ("genexp.pool.fork_server.main", "begin with one of genexp.adversarial."),
        ("genexp.ablations.running.Workers", "begin with one of genexp.adversarial."),
        ("genexp.commands.train.train", "begin with one of genexp.adversarial."),
        ("genexp.runs.stored.read_run", "begin with one of genexp.adversarial."),
        ("genexp.shipped.load_asset", "begin with one of genexp.adversarial."),
        ("genexp.runs.run_folder.RunFolder", "begin with one of genexp.adversarial."),
        ("genexp.dataset.Digits", "begin with one of genexp.adversarial."),
        ("torchvision.io.read_file", "begin with one of torchvision.datasets., torchvision.transforms., got"),
        ("os.system", "begin with one of genexp.adversarial."),
        ("torchvision.datasets.utils.os.getpid", "name a class that torchvision.datasets defines"),
        ("genexp.data.layout.os.replace", "name a class that genexp.data defines"),
        ("genexp.callbacks.checkpoint.flush", "name a class that genexp.callbacks defines"),
        ("genexp.tracking.journal.save_png", "name a class that genexp.tracking.journal defines"),
        ("genexp.families.gan.Tensor", "name a class that genexp.families defines"),
        ("genexp.data.digits", "name a class that genexp.data defines"),
        ("torch.nn.Linear.forward", "name a class that torch.nn defines"),
        ("lightning.Trainer.fit", "name a class that lightning.Trainer defines"),
    ],
)
def test_what_is_no_part_is_refused(target, rule):
    with pytest.raises(ValueError) as refused:
        require_allowed(target, "model.network")
    message = str(refused.value)
    assert message.startswith("model.network._target_ must ")
    assert rule in message
    assert repr(target) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        "{part: {inner: '${evil}'}, evil: {_target_: os.getpid}}",
        "{part: {inner: '${oc.create:\"{_target_: os.getpid}\"}'}}",
        "{part: {inner: ['${evil}']}, evil: {_target_: os.getpid}}",
        "{part: {inner: {_target_: '${name}'}}, name: os.getpid}",
        "{part: {inner: {_target_: 'torch.nn.${rest}'}}, rest: functional.torch.get_num_threads}",
    ],
)
def test_interpolations_lead_to_nothing_else(text):
    with pytest.raises(ValueError, match="_target_ must "):
        build(OmegaConf.create(text).part)


def test_what_a_metric_is_judged_by_is_asked_of_parts_only(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "imported_by_a_config.py").write_text("class Metric: values = {}\n")
    with pytest.raises(ValueError, match=r"metrics\.mine\._target_ must begin with one of"):
        value_directions({"mine": {"_target_": "imported_by_a_config.Metric"}})
    assert "imported_by_a_config" not in sys.modules


def test_every_target_of_the_configuration_may_be_built():
    found = set()
    for path in conf_dir().rglob("*.yaml"):
        plain = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        found |= {target for _, target in targets(plain) if not target.startswith("hydra_plugins.")}
    assert len(found) > 90
    for target in sorted(found):
        require_allowed(target, "conf")
    assert set(FACTORIES) <= found


def test_every_allowed_place_exists():
    for prefix in ALLOWED:
        assert locate(prefix.rstrip(".")) is not None


def test_a_trusted_package_offers_classes_and_functions_of_its_own_and_no_others(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "trusted_parts.py").write_text("import os\nfrom math import sqrt\ndef make(x): return x + 1\n")
    for trust in ("trusted_parts.", "other. , trusted_parts"):
        monkeypatch.setenv("GENEXP_TRUST", trust)
        assert build({"_target_": "trusted_parts.make", "x": 2}) == 3
        with pytest.raises(
            ValueError, match=r"a class or a function that trusted_parts defines, .* a function of math"
        ):
            require_allowed("trusted_parts.sqrt", "model")
        with pytest.raises(ValueError, match="must begin with one of"):
            require_allowed("trusted_parts_of_others.make", "model")


def test_names_are_found_as_hydra_finds_them():
    assert locate("genexp.ramps.Linear").__name__ == "Linear"
    assert locate("torch.nn.Linear") is torch.nn.Linear
    with pytest.raises(ValueError, match=r"genexp\.losses\.nowhere\.Thing does not exist"):
        locate("genexp.losses.nowhere.Thing")
    with pytest.raises(ValueError, match=r"torch\.nn\.Liner does not exist; did you mean Linear"):
        locate("torch.nn.Liner")
    with pytest.raises(ValueError, match="there is no module nowhere"):
        locate("nowhere.Thing")


def test_a_package_that_wants_another_is_not_said_to_be_missing_itself(tmp_path, monkeypatch):
    (tmp_path / "parts_that_want_more.py").write_text("import a_module_that_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="there is no module a_module_that_nobody_has"):
        locate("parts_that_want_more.Thing")


@pytest.mark.parametrize("target", [*UNSAFE, "torchvision.datasets.LSUN", "torchvision.datasets.LSUNClass"])
def test_a_class_that_reads_pickles_is_refused_under_every_name(target):
    with pytest.raises(ValueError, match="must name no class that reads pickles"):
        require_allowed(target, "data.source")


def test_every_class_of_torchvision_that_unpickles_is_known():
    import inspect
    import pkgutil

    import torchvision.datasets as datasets

    checked_first = {"cifar"}  # its files must have the published MD5 before they are opened
    found = set()
    for module in pkgutil.iter_modules(datasets.__path__):
        text = inspect.getsource(locate(f"torchvision.datasets.{module.name}"))
        loads = [line for line in text.splitlines() if "torch.load(" in line and "weights_only=True" not in line]
        if loads or "pickle.load" in text or "allow_pickle=True" in text:
            found.add(module.name)
    assert found == checked_first | {name.split(".")[2] for name in UNSAFE if name.startswith("torchvision.")}
