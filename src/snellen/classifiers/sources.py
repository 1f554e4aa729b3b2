"""Networks from their libraries: one module a library. Loading imports torch, where a model is prepared or run."""

import importlib
import importlib.metadata

from snellen.classifiers.loaded import Loaded, with_options
from snellen.classifiers.spec import ModelSpec
from snellen.errors import ModelError

# The module of this package whose `load(spec)` makes each kind of network, and the libraries that decide what it is.
LOADERS = {
    "embedded": ("embedded", ("timm",)),
    "timm": ("timm", ("timm",)),
    "torchvision": ("torchvision", ("torchvision",)),
    "open_clip": ("open_clip", ("open_clip_torch", "timm")),
    "hf": ("hf", ("transformers", "timm", "open_clip_torch")),
    "file": ("user_file", ()),
}


def load(spec: ModelSpec) -> Loaded:
    """Load the network that `spec` names, in evaluation mode; ModelError says what does not fit."""
    module, _ = LOADERS[spec.kind]
    loaded: Loaded = importlib.import_module(f"snellen.classifiers.{module}").load(spec)
    loaded.module.eval().requires_grad_(False)
    return with_options(loaded, spec.options)


def library_versions(kind: str) -> dict[str, str]:
    """Versions of the libraries that decide what a converted network computes; ModelError where one is missing."""
    try:
        return {name: importlib.metadata.version(name) for name in ("torch", "openvino", *LOADERS[kind][1])}
    except importlib.metadata.PackageNotFoundError as error:
        extra = "; pip install 'snellen[hf]' brings it" if error.name == "transformers" else ""
        raise ModelError(f"{kind} models need the package {error.name}, which is not installed{extra}") from error
