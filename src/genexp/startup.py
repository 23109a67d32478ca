"""A quick start: parts of libraries that a command hardly ever uses are imported when something first asks for them.

Lightning imports all of torchmetrics (and with it torchvision, scipy.signal and, where installed, transformers) for
one class, and torch's compiler for an `isinstance`; the first optimiser imports the compiler to switch it off. Together
that is more than half of what a command imports. Here these packages stand in `sys.modules` from the start, with their
names and files, and run their own `__init__` as soon as something is taken from them that is not named below.
"""

import importlib
import importlib.util
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_lock = threading.RLock()


class _State(threading.local):
    """What this thread is doing: names it looks for behind our finder, and whether it makes a given value."""

    def __init__(self) -> None:
        self.looking: set[str] = set()
        self.giving = False


_state = _State()


@contextmanager
def _giving() -> Iterator[None]:
    before, _state.giving = _state.giving, True
    try:
        yield
    finally:
        _state.giving = before


def postpone() -> None:
    """Let the packages of `POSTPONED` wait; those that are imported already, or not installed, are left alone."""
    if not any(isinstance(finder, _Completing) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Completing())


class Postponed(ModuleType):
    """A package whose own `__init__` has not run yet."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # each `from module import name` asks whether the module is a package; those know theirs
            raise AttributeError(f"{self.__name__} is no package")
        given = POSTPONED[self.__name__]
        if name in given:
            with suppress(ImportError, AttributeError), _giving():
                setattr(self, name, given[name]())
                return self.__dict__[name]
            _forget(self.__name__)  # another version, built otherwise: it is imported whole
        elif _state.giving:  # a module that is imported for a given value wants more than is given
            raise AttributeError(f"{self.__name__} is postponed and does not give {name}")
        complete(self)
        return getattr(importlib.import_module(self.__name__), name)


def complete(module: Postponed) -> None:
    """Run the own `__init__` of a postponed package, or of the package that a postponed module belongs to.

    Its modules are then imported in its own order, those that were postponed too; who still holds one of them is
    handed on to the real one.
    """
    package = sys.modules.get(_package_of(module.__name__))
    with _lock:
        if isinstance(package, Postponed):
            complete(package)
        elif sys.modules.get(module.__name__) is module and isinstance(module, Postponed):
            _forget(module.__name__, only=Postponed)
            for name in POSTPONED[module.__name__]:
                module.__dict__.pop(name, None)
            module.__class__ = ModuleType
            try:
                module.__spec__.loader.exec_module(module)
            except BaseException:
                module.__class__ = Postponed
                raise


def _forget(package: str, only: type = ModuleType) -> None:
    """Let modules of a package be imported again."""
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        if isinstance(sys.modules[name], only):
            del sys.modules[name]
            above, _, last = name.rpartition(".")
            if above in sys.modules:
                vars(sys.modules[above]).pop(last, None)


def _package_of(name: str) -> str:
    """The postponed package that a module lies in, or nothing."""
    return next((package for package in POSTPONED if name.startswith(f"{package}.")), "")


class _Completing:
    """A finder that makes a postponed package of an import, and completes it before one of its further modules."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec of a postponed package; None leaves the import to the finders behind this one."""
        package = sys.modules.get(_package_of(name))
        waiting = isinstance(package, Postponed)
        if name in POSTPONED and name not in _state.looking and (waiting or not _package_of(name)):
            return _postponed(name)
        if waiting and not _state.giving and name not in POSTPONED:
            complete(package)
        return None


def _postponed(name: str) -> ModuleSpec | None:
    """The spec by which Python would import `name`, with a loader that waits."""
    _state.looking.add(name)
    try:
        spec = importlib.util.find_spec(name)
    finally:
        _state.looking.discard(name)
    if spec is None or spec.loader is None:
        return spec
    later = ModuleSpec(name, _Later(spec), origin=spec.origin)
    later.submodule_search_locations, later.has_location = spec.submodule_search_locations, spec.has_location
    return later


class _Later:
    """A loader that gives a module its name and files, and leaves its code for later."""

    def __init__(self, spec: ModuleSpec) -> None:
        self.spec = spec

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__, module.__loader__ = self.spec, self.spec.loader
        module.__class__ = Postponed


def _metrics(module: str, name: str) -> Any:
    importlib.import_module("torchmetrics.utilities")  # its modules import each other in a circle that begins here
    return getattr(importlib.import_module(f"torchmetrics.{module}"), name)


def _called_later(module: str, name: str) -> Callable:
    def call(*args: Any, **kwargs: Any) -> Any:
        postponed = importlib.import_module(module)
        if isinstance(postponed, Postponed):
            complete(postponed)
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    return call


def _compiler() -> Any:
    """The part of torch's compiler that all compiling goes through, if it has been imported."""
    return sys.modules.get("torch._dynamo.eval_frame")


class _OfCompiled(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        compiler = _compiler()
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)


class _OptimizedModule(metaclass=_OfCompiled):
    """Stands for the class of compiled modules, of which there are none before the compiler is imported."""


def _disable(fn: Callable | None = None, recursive: bool = True, **options: Any) -> Callable:
    """`torch._dynamo.disable` for a time without a compiler: the function as it is, and once there is one, disabled."""
    if fn is None:
        return lambda function: _disable(function, recursive, **options)
    disabled: list[Callable] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        if not disabled:
            compiler = _compiler()
            if compiler is None:
                return fn(*args, **kwargs)
            disabled.append(sys.modules["torch._dynamo"].disable(fn, recursive, **options))
        return disabled[0](*args, **kwargs)

    return call


POSTPONED: dict[str, dict[str, Callable[[], Any]]] = {
    "torchmetrics": {
        "Metric": lambda: _metrics("metric", "Metric"),
        "MetricCollection": lambda: _metrics("collections", "MetricCollection"),
        "_logger": lambda: logging.getLogger("torchmetrics"),
        "__version__": lambda: importlib.import_module("torchmetrics.__about__").__version__,
    },
    "torchmetrics.utilities.plot": {
        "_AX_TYPE": lambda: Any,
        "_PLOT_OUT_TYPE": lambda: Any,
        "plot_single_or_multi_val": lambda: _called_later("torchmetrics.utilities.plot", "plot_single_or_multi_val"),
    },
    "torch._dynamo": {
        "OptimizedModule": lambda: _OptimizedModule,
        "disable": lambda: _disable,
        "graph_break": lambda: lambda *_, **__: None,  # without the compiler there is no graph to break
    },
    "torch._dynamo.utils": {
        "is_compile_supported": lambda: _called_later("torch._dynamo.utils", "is_compile_supported"),
    },
}
"""What each package gives without its own `__init__`: names, each with what makes the value."""
