"""Commands start without what they do not use, and everything is there as soon as it is asked for."""

import importlib
import os
import pty
import subprocess
import sys
import textwrap

import pytest

from genexp import startup

UNUSED = [
    "torchvision",
    "torchmetrics.functional",
    "scipy.signal",
    "matplotlib",
    "transformers",
    "sympy",
    "torch._inductor",
    "sklearn",
]


def python(code, **variables):
    """Run code in a fresh process; its last line of output."""
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
    )
    assert out.returncode == 0, out.stderr
    return out.stdout.splitlines()[-1]


def test_train_sample_and_evaluate_import_nothing_that_they_do_not_use(tmp_path):
    loaded = python(
        """
        import glob, sys
        from genexp.__main__ import main
        main(["train", "debug=fast", "name=start"])
        run = glob.glob("outputs/start/*")[0]
        main(["sample", f"run={run}", "num=2"])
        main(["evaluate", f"run={run}", "num=16", "metrics=fd"])
        from genexp.startup import Postponed
        print(*[name for name, module in sys.modules.items() if not isinstance(module, Postponed)])
        """.replace("import glob", f"import os; os.chdir({str(tmp_path)!r}); import glob"),
        GENEXP_CACHE=str(tmp_path / "cache"),
    ).split()
    assert "lightning.pytorch.trainer.trainer" in loaded
    assert "torch.optim.adam" in loaded
    assert [name for name in UNUSED if name in loaded] == []


def test_postponed_packages_are_whole_when_something_is_taken_from_them():
    assert (
        python(
            """
        from genexp.startup import POSTPONED, Postponed, postpone
        postpone()
        import sys
        import torch, lightning
        import torchmetrics
        from lightning.pytorch.core.module import Metric
        assert all(type(sys.modules[name]) is Postponed for name in POSTPONED if name in sys.modules)
        import torchmetrics.image.fid                                     # a module of it
        assert type(torchmetrics).__name__ == "module"
        missing = [name for name in torchmetrics.__all__ if not hasattr(torchmetrics, name)]
        assert not missing, missing
        assert torchmetrics.Metric is Metric is sys.modules["torchmetrics.metric"].Metric
        mean = torchmetrics.MeanMetric()
        mean.update(torch.tensor([1.0, 3.0]))
        assert isinstance(mean, Metric) and mean.compute() == 2
        import matplotlib; matplotlib.use("agg")
        figure, axis = mean.plot()                                        # the plotting that was given as a name
        from torchmetrics.utilities.plot import plot_curve
        from torchmetrics.utilities import plot
        assert type(plot).__name__ == "module" and plot.plot_curve is plot_curve
        import torchvision.ops
        boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
        assert torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), [boxes], 2).mean() == 1
        print("whole")
        """
        )
        == "whole"
    )


def test_models_compile_after_an_optimiser_has_stepped_without_the_compiler():
    assert (
        python(
            """
        from genexp.startup import Postponed, postpone
        postpone()
        import sys
        import torch, lightning
        from lightning.fabric.wrappers import OptimizedModule, _unwrap_compiled
        network = torch.nn.Linear(2, 2)
        optimiser = torch.optim.Adam(network.parameters(), lr=0.1)
        network(torch.ones(1, 2)).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        import torchvision.models, torchvision.transforms.v2              # which names a part of the compiler
        assert type(sys.modules["torch._dynamo"]) is Postponed and not isinstance(network, OptimizedModule)
        compiled = torch.compile(network, backend="eager")
        assert torch.equal(compiled(torch.ones(1, 2)), network(torch.ones(1, 2)))
        assert type(sys.modules["torch._dynamo"]).__name__ == "module"
        assert isinstance(compiled, OptimizedModule) and _unwrap_compiled(compiled)[0] is network
        assert isinstance(compiled, torch._dynamo.OptimizedModule)
        before = network.weight.detach().clone()
        compiled(torch.ones(1, 2)).sum().backward()
        optimiser.step()                                                  # now through the compiler's own disable
        optimiser.zero_grad()
        assert not torch.equal(network.weight, before) and network.weight.grad is None
        step = torch.compile(lambda: optimiser.zero_grad(), backend="eager")
        step()
        print("compiled")
        """
        )
        == "compiled"
    )


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose __init__ imports its modules in an order that matters, postponed."""
    (tmp_path / "slowpack").mkdir()
    (tmp_path / "slowpack/__init__.py").write_text(
        "from slowpack import first, plot\nwhole = first.value + plot.scale\n"
    )
    (tmp_path / "slowpack/first.py").write_text("value = 1\n")
    (tmp_path / "slowpack/plot.py").write_text("from slowpack.first import value\nscale = 10 * value\n")
    monkeypatch.syspath_prepend(tmp_path)
    rules = {
        "slowpack": {"value": lambda: importlib.import_module("slowpack.first").value},
        "slowpack.plot": {"scale": lambda: "given"},
    }
    monkeypatch.setattr(startup, "POSTPONED", rules)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    startup.postpone()
    yield rules
    for name in [name for name in sys.modules if name.split(".")[0] == "slowpack"]:
        del sys.modules[name]


def test_a_given_name_does_not_run_the_package(package):
    from slowpack import value

    assert value == 1
    assert "whole" not in vars(sys.modules["slowpack"])


def test_a_given_name_of_a_module_does_not_run_the_package_either(package):
    from slowpack.plot import scale

    assert scale == "given"
    assert "whole" not in vars(sys.modules["slowpack"])


def test_a_postponed_module_of_a_package_hands_on_to_the_real_one(package):
    from slowpack import plot

    assert plot.scale == 10  # from slowpack import plot asks the package, which then is whole
    del sys.modules["slowpack"], sys.modules["slowpack.plot"], sys.modules["slowpack.first"]
    importlib.import_module("slowpack.plot")
    held = sys.modules["slowpack.plot"]
    assert held.scale == "given"
    assert held.value == 1
    assert sys.modules["slowpack.plot"] is not held
    assert sys.modules["slowpack"].whole == 11


def test_a_package_that_is_built_otherwise_is_imported_whole(package):
    package["slowpack"]["value"] = lambda: importlib.import_module("slowpack.gone").value
    from slowpack import first

    assert first.value == 1
    with pytest.raises(ImportError, match="cannot import name 'value'"):
        from slowpack import value  # noqa: F401
    package["slowpack"]["whole"] = package["slowpack"].pop("value")
    del sys.modules["slowpack"], sys.modules["slowpack.plot"], sys.modules["slowpack.first"]
    from slowpack import whole

    assert whole == 11


def test_an_error_of_a_package_is_raised_again_at_the_next_try(package, tmp_path):
    (tmp_path / "slowpack/__init__.py").write_text("raise ImportError('no licence')\n")
    importlib.invalidate_caches()
    for _ in range(2):
        with pytest.raises(ImportError, match="no licence"):
            import slowpack.other  # noqa: F401


def test_a_terminal_shows_at_once_that_a_command_is_loading(tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "genexp", "sample", "run=nowhere"]
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL, cwd=tmp_path) as process:
        os.close(theirs)
        shown = ""
        while not shown.endswith("\n"):  # a line may come in several pieces
            shown += os.read(ours, 1000).decode()
        process.wait()
    os.close(ours)
    assert shown.startswith("loading ...\rgenexp sample: run must be a run folder")
