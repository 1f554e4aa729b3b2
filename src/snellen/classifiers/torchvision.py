"""Networks of torchvision."""

from pathlib import Path
from typing import Any

from snellen.classifiers.base import OwnTransform
from snellen.classifiers.loaded import Loaded, no_download, their_options, unknown_name
from snellen.classifiers.spec import ModelSpec
from snellen.classifiers.weights import fit_weights, read_weights
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K


def load(spec: ModelSpec) -> Loaded:
    """The network of `torchvision/NAME[:WEIGHTS]`, with those weights or those of a local file."""
    import torch
    import torchvision.models as models

    if spec.name not in models.list_models(module=models):
        raise unknown_name("torchvision", spec.name, models.list_models(module=models))
    known = models.get_model_weights(spec.name)
    if spec.tag and spec.tag not in known.__members__:
        raise unknown_name(f"torchvision's weights of {spec.name}", spec.tag, known.__members__)
    weights = known[spec.tag or "DEFAULT"]
    try:
        module = models.get_model(spec.name, weights=None, **their_options(spec))
    except TypeError as error:
        raise ModelError(f"torchvision does not take these options for {spec.name}: {error}") from error
    notes = () if spec.tag else (f"weights: torchvision's default for {spec.name}, {weights.name}",)
    if spec.path:
        file = spec.path
        notes = () if spec.tag else (f"transform and normalisation are those of {weights.name}",)
    else:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        file = folder / Path(weights.url).name
        try:
            torch.hub.load_state_dict_from_url(weights.url, check_hash=True, weights_only=True, map_location="cpu")
        except Exception as error:  # URLError, RuntimeError on a wrong hash, OSError
            raise no_download(f"torchvision/{spec.name}", error) from error
    fit_weights(module, read_weights(file), file)
    transform = weights.transforms()
    own = own_transform(transform)
    return Loaded(module, tuple(transform.mean), tuple(transform.std), own, IMAGENET_1K, file, notes)


def own_transform(transform: Any) -> OwnTransform:
    """The evaluation transform that a set of weights carries (`weights.transforms()`), as Snellen cuts it."""
    return OwnTransform(transform.crop_size[0], transform.resize_size[0], transform.interpolation.value)
