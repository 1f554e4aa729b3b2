"""Snellen: an eye test for image classifiers."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snellen.analysis.tta_runs import load_tta
    from snellen.evaluate import Evaluation, evaluate
    from snellen.mining.mine import Mining, mine
    from snellen.score import score
    from snellen.show import show
    from snellen.store import load_run
    from snellen.study import study
    from snellen.tta.module import ZoomTTA
    from snellen.zoom import PAPER_GRID, Zoom

__version__ = "0.1.0"
__all__ = [
    "PAPER_GRID",
    "Evaluation",
    "Mining",
    "Zoom",
    "ZoomTTA",
    "evaluate",
    "load_run",
    "load_tta",
    "mine",
    "score",
    "show",
    "study",
]

# The module of each public name, imported when the name is first asked for: worker processes ask for none of them and
# start sooner, and only `ZoomTTA` imports torch.
_MODULES = {
    "PAPER_GRID": "zoom",
    "Evaluation": "evaluate",
    "Mining": "mining.mine",
    "Zoom": "zoom",
    "ZoomTTA": "tta.module",
    "evaluate": "evaluate",
    "load_run": "store",
    "load_tta": "analysis.tta_runs",
    "mine": "mining.mine",
    "score": "score",
    "show": "show",
    "study": "study",
}


class _Package(ModuleType):
    """`snellen.study` is the function, whatever has imported the module of that name."""

    def __getattr__(self, name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{self.__name__}.{_MODULES[name]}"), name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_MODULES})

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _MODULES or not isinstance(value, ModuleType):  # an import binds a module to its name
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
