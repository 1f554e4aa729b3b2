"""Networks of timm."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from snellen.classifiers.base import OwnTransform
from snellen.classifiers.loaded import Loaded, hub_file, no_download, their_options, unknown_name
from snellen.classifiers.spec import ModelSpec
from snellen.classifiers.weights import fit_weights, read_weights
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K
from snellen.zoom.grid import Filter, Fit

if TYPE_CHECKING:
    import torch

# timm's crop modes (timm/data/transforms_factory.py), as ours.
FITS: dict[str, Fit] = {"center": "shorter", "squash": "squash"}


def load(spec: ModelSpec) -> Loaded:
    """The network of `timm/NAME`, with timm's weights or those of a local file."""
    notes: tuple[str, ...] = ()
    if spec.path:
        module, own, mean, std = timm_network(spec.name, spec)
        fit_weights(module, read_weights(spec.path), spec.path)
        if "mean" not in spec.options:
            notes = (f"normalisation is timm's for {spec.name}: mean {mean}, std {std}; mean=,std= set another",)
        return Loaded(module, mean, std, own, IMAGENET_1K, spec.path, notes)
    file = _download(spec)
    module, own, mean, std = timm_network(spec.name, spec, pretrained=True, pretrained_cfg_overlay={"file": str(file)})
    return Loaded(module, mean, std, own, IMAGENET_1K, file)


def timm_network(name: str, spec: ModelSpec, **arguments: Any) -> tuple["torch.nn.Module", OwnTransform, Any, Any]:
    """A network that timm makes with `arguments` and the spec's options, its own transform, mean and std."""
    import timm
    from timm.data import resolve_data_config

    if not timm.is_model(name):
        raise unknown_name(spec.kind, name.removeprefix("tf_") if spec.kind == "embedded" else name, timm.list_models())
    try:
        module = timm.create_model(name, **arguments, **their_options(spec))
    except TypeError as error:
        raise ModelError(f"timm does not take these options for {name}: {error}") from error
    config = resolve_data_config({}, model=module)
    return module, own_transform(config, name), tuple(config["mean"]), tuple(config["std"])


def own_transform(config: dict[str, Any], name: str) -> OwnTransform:
    """The evaluation transform that timm makes of a data configuration, as Snellen cuts it.

    config: what `timm.data.resolve_data_config` returns. Raises ModelError for one that Snellen cannot cut.
    """
    size = config["input_size"][-1]
    if config["input_size"][-2] != size or config["crop_mode"] not in FITS:
        raise ModelError(
            f"{name} is evaluated at {config['input_size'][-2]} x {size} pixels, crop mode {config['crop_mode']}; "
            f"square inputs and {', '.join(FITS)} are known"
        )
    if config["interpolation"] not in get_args(Filter):
        known = ", ".join(get_args(Filter))
        raise ModelError(f"{name} is evaluated with interpolation {config['interpolation']}; {known} are known")
    return OwnTransform(size, math.floor(size / config["crop_pct"]), config["interpolation"], FITS[config["crop_mode"]])


def _download(spec: ModelSpec) -> Path:
    import timm
    from timm.models._hub import download_cached_file

    if not timm.is_model(spec.name):
        raise unknown_name("timm", spec.name, timm.list_models())
    config = timm.get_pretrained_cfg(spec.name)
    if config is not None and not config.hf_hub_id and config.url:
        try:
            return Path(download_cached_file(config.url))
        except Exception as error:  # URLError, RuntimeError on a wrong hash, OSError
            raise no_download(f"timm/{spec.name}", error) from error
    if config is None or not config.hf_hub_id:
        raise ModelError(f"timm publishes no weights for {spec.name}; give a local file with @FILE")
    repository, _, revision = config.hf_hub_id.partition("@")
    repository = repository if "/" in repository and not repository.endswith("/") else f"timm/{spec.name}"
    return hub_file(f"timm/{spec.name}", repository, ("model.safetensors", "pytorch_model.bin"), revision or None)
