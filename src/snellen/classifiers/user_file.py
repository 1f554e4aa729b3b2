"""Networks that a function in the user's own Python file makes."""

import contextlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from snellen.classifiers.base import IMAGENET_MEAN, IMAGENET_STD, OwnTransform
from snellen.classifiers.loaded import Loaded, their_options, triple
from snellen.classifiers.spec import ModelSpec
from snellen.classifiers.weights import file_sha256
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K, ClassSpace


def load(spec: ModelSpec) -> Loaded:
    """The module that `FILE.py:FUNCTION` returns; its attributes `mean`, `std` and `classes` count if it has them."""
    import torch

    assert spec.path is not None
    with _importable(spec.path.parent):
        function = _import_function(spec.path, spec.name)
        try:
            module = function(**their_options(spec))
        except Exception as error:
            raise ModelError(f"{spec.text} raised {type(error).__name__}: {error}") from error
    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"{spec.text} returned {type(module).__name__}; expected a torch.nn.Module")
    mean, std = getattr(module, "mean", None), getattr(module, "std", None)
    given = mean is not None or "mean" in spec.options
    notes = () if given else ("normalisation is ImageNet's; mean=,std= set another",)
    classes = getattr(module, "classes", None)
    space = ClassSpace.of_names(tuple(classes)) if classes else IMAGENET_1K
    own = OwnTransform(224, 256, "bicubic")
    means = triple("mean", IMAGENET_MEAN if mean is None else mean)
    stds = triple("std", IMAGENET_STD if std is None else std)
    return Loaded(module, means, stds, own, space, None, notes, file_sha256(spec.path))


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let the user's file import what stands beside it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _import_function(path: Path, name: str) -> Callable[..., Any]:
    found = importlib.util.spec_from_file_location(f"snellen_user_{path.stem}", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # as an import does: dataclasses and inspect look there
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise ModelError(f"{str(path)!r} cannot be imported: {type(error).__name__}: {error}") from error
    function: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(function):
        names = [n for n, value in vars(module).items() if inspect.isfunction(value)]
        raise ModelError(f"no function {name!r} in {str(path)!r}; it has {', '.join(names) or 'none'}")
    return function
