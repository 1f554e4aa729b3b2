"""A network and what its library says about it, and what loaders share."""

import difflib
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snellen.classifiers.base import IMAGENET_MEAN, IMAGENET_STD, OwnTransform
from snellen.classifiers.spec import ModelSpec
from snellen.classifiers.weights import module_sha256, stored_sha256
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K, ClassSpace

if TYPE_CHECKING:
    import torch

# Options that Snellen reads itself; all others go to the library that makes the network.
OURS = ("mean", "std", "normalize", "size", "classes", "calibration")


@dataclass(frozen=True)
class Loaded:
    """A network in evaluation mode and what its library says about it.

    weights_file: the file, or the folder in the Hub's layout; None where there is no one place.
    code: sha256 of the user's file that makes the network.
    inputs: what else decides its answers, by name, each as a name and hash: class names, prompt templates.
    """

    module: "torch.nn.Module"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    own: OwnTransform
    space: ClassSpace
    weights_file: Path | None
    notes: tuple[str, ...] = ()
    code: str = ""
    inputs: tuple[tuple[str, str], ...] = ()

    @property
    def weights(self) -> str:
        """sha256 of the weights file or folder; without one, of code, parameters, normalisation and classes."""
        if self.weights_file:
            return stored_sha256(self.weights_file)
        parts = [self.code, module_sha256(self.module), repr((self.mean, self.std, self.space.keys))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def loaded_module(
    module: "torch.nn.Module",
    mean: Sequence[float] | float | None,
    std: Sequence[float] | float | None,
    classes: Sequence[str] | None,
) -> Loaded:
    """A copy of a network given as an object; ImageNet's normalisation and classes where none are given."""
    from snellen.classifiers.borrowed import stand_in

    space = ClassSpace.of_names(tuple(classes)) if classes is not None else IMAGENET_1K
    means = triple("mean", IMAGENET_MEAN if mean is None else mean)
    stds = triple("std", IMAGENET_STD if std is None else std)
    return Loaded(stand_in(module), means, stds, OwnTransform(224, 256, "bicubic"), space, None)


def their_options(spec: ModelSpec) -> dict[str, Any]:
    """The options that go to the library."""
    return {key: value for key, value in spec.options.items() if key not in OURS}


def with_options(loaded: Loaded, options: dict[str, Any]) -> Loaded:
    """A loaded network with what the options that are ours say instead; ModelError where they cannot be read."""
    size = options.get("size", loaded.own.size)
    if not isinstance(size, int) or size < 1:
        raise ModelError(f"size={size!r}: expected the side of the network's input in pixels")
    own = replace(loaded.own, size=size, resize=loaded.own.resize * size // loaded.own.size)  # the same crop share
    normalize = options.get("normalize", "own")
    if normalize not in ("own", "imagenet"):
        raise ModelError(f"normalize={normalize}: expected own (the model's) or imagenet")
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if normalize == "imagenet" else (loaded.mean, loaded.std)
    mean, std = triple("mean", options.get("mean", mean)), triple("std", options.get("std", std))
    return replace(loaded, mean=mean, std=std, own=own, space=given_space(options) or loaded.space)


def given_space(options: dict[str, Any]) -> ClassSpace | None:
    """The class space of `classes=FILE`, None where it is not given."""
    return ClassSpace.of_names(lines_of("classes", options["classes"])) if "classes" in options else None


def lines_of(option: str, file: object, expected: str = "expected a text file, one entry a line") -> list[str]:
    """The lines of the text file that an option names; ModelError where it cannot be read."""
    path = Path(str(file)).expanduser()
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ModelError(f"{option}={file}: not UTF-8 text; {expected}") from error
    except OSError as error:
        raise ModelError(f"{option}={file}: {error.strerror}; {expected}") from error


def triple(name: str, value: Any) -> tuple[float, ...]:
    """One number a channel from one for all or three; ModelError for anything else."""
    try:
        values = [float(v) for v in np.broadcast_to(np.asarray(value, np.float64), (3,))]
    except (ValueError, TypeError):
        values = []
    if not np.isfinite(values).all() or not values or (name == "std" and 0 in values):
        raise ModelError(f"{name}={value!r}: expected one number, or three joined by colons (0.485:0.456:0.406)")
    return tuple(values)


def unknown_name(kind: str, name: str, names: Iterable[str]) -> ModelError:
    """The error for a name a library does not have; it says the nearest it has."""
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`snellen ls models` lists what there is"
    return ModelError(f"no model {name!r} in {kind}: {hint}")


def no_download(model: str, error: Exception) -> ModelError:
    """The error for weights that could not be fetched."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(f"cannot download the weights of {model} ({reason}); connect, or give a local file with @FILE")


def hub_file(model: str, repository: str, names: Sequence[str], revision: str | None = None) -> Path:
    """The first of `names` that a repository of the Hub holds, on this machine; ModelError where it cannot be had."""
    from huggingface_hub import snapshot_download

    for name in names:
        try:
            # Not hf_hub_download: without a network that tries for 20 s and more before it gives up.
            folder = Path(snapshot_download(repository, revision=revision, allow_patterns=[name]))
        except Exception as error:  # the hub client raises many kinds: no network, no such repository, gated, disk
            raise no_download(model, error) from error
        if (folder / name).exists():
            return folder / name
    raise ModelError(f"the Hub repository {repository} holds no weights file that is known; give one with @FILE")
