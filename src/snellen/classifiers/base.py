"""What a classifier is, and the card that describes one without loading it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.zoom.grid import Anchor, Filter, Fit, ViewRule

if TYPE_CHECKING:
    import torch

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class OwnTransform:
    """The evaluation transform a model was published with: resize, then cut the centre.

    size: side of the square that is cut.
    resize: what the image is resized to first: by `mode`, its shorter side, or both sides (`squash`).
    filter: Pillow's name of the resampling filter.
    anchor: how the centre is rounded to a pixel: `spread` or `floor`.
    """

    size: int
    resize: int
    filter: Filter
    mode: Fit = "shorter"
    anchor: Anchor = "spread"

    @property
    def crop(self) -> float:
        """The share of the resized side that is kept, as timm's `crop_pct`."""
        return self.size / self.resize

    def rule(self) -> ViewRule:
        """The view rule that cuts it."""
        return ViewRule(self.resize, 1, 1, self.size, self.filter, self.anchor, fit=self.mode, scale=self.resize)


@dataclass(frozen=True)
class ModelCard:
    """All that is known of a prepared model; cached beside its converted form, so that reading it needs no torch.

    source: the part of its spec that says which network it is, without the checkpoint's path.
    weights: sha256 of the weights file, or of the loaded parameters where there is no one file.
    view_size: side of the square views it is shown, in pixels.
    mean, std: normalisation of RGB in 0 … 1; part of the network that is run.
    keys: the classes of its logits, in order; `synonyms` only where they are not ImageNet's.
    embed_dim: width of what `embed` returns, 0 where the network has no linear head to take it from.
    notes: what a user should know about how it was loaded.
    probe: some of its logits on fixed noise, by which changed code is noticed that no hash can see.
    inputs: what else decides its answers, each with a name and a hash: class names, prompt templates.
    """

    source: str
    weights: str
    view_size: int
    own: OwnTransform
    mean: tuple[float, ...]
    std: tuple[float, ...]
    space: str
    keys: tuple[str, ...]
    parameters: int
    embed_dim: int
    notes: tuple[str, ...] = ()
    probe: tuple[float, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()

    @property
    def preprocessing(self) -> str:
        """12 hex digits that stand for its own transform: size, resize, filter and normalisation."""
        parts = json.dumps([asdict(self.own), self.mean, self.std])
        return hashlib.sha256(parts.encode()).hexdigest()[:12]

    @property
    def class_space(self) -> ClassSpace:
        """The classes of the logits."""
        return IMAGENET_1K if self.space == IMAGENET_1K.name else ClassSpace.of_names(self.keys, self.space)

    def to_json(self) -> dict[str, Any]:
        """A plain form; ImageNet's class keys are left out, since its name says them."""
        return asdict(self) | {"keys": [] if self.space == IMAGENET_1K.name else list(self.keys)}

    @staticmethod
    def from_json(record: dict[str, Any]) -> "ModelCard":
        """The card that `to_json` wrote."""
        values = dict(record)
        if values["space"] == IMAGENET_1K.name:
            values["keys"] = IMAGENET_1K.keys
        for key in ("mean", "std", "keys", "notes", "probe"):
            values[key] = tuple(values[key])
        values["inputs"] = tuple((name, value) for name, value in values.get("inputs", ()))
        return ModelCard(**(values | {"own": OwnTransform(**values["own"])}))


def same_probe(one: Sequence[float], other: Sequence[float], tolerance: float = 1e-3) -> bool:
    """Whether two cards' probes differ by no more than rounding and another machine's arithmetic can explain."""
    size = 1 + max((abs(value) for value in one), default=0.0)
    return len(one) == len(other) and all(abs(a - b) <= tolerance * size for a, b in zip(one, other, strict=True))


class Classifier(Protocol):
    """A model that answers views. Backends implement it; `engine/worker.py` calls it."""

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits `[n, classes]` of uint8 views `[n, size, size, 3]`."""
        ...

    def embed(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the last linear layer is fed, `[n, embed_dim]`; ModelError where there is none."""
        ...

    def module(self) -> "torch.nn.Module":
        """The torch network behind it, in evaluation mode, fed normalised float views `[n, 3, size, size]`."""
        ...


def check_head(outputs: int, space: ClassSpace) -> None:
    """Raise ModelError unless a head of `outputs` logits fits the class space."""
    if outputs != len(space):
        raise ModelError(
            f"the model gives {outputs} logits, but {space.name} has {len(space)} classes; "
            "name the model's classes with classes=FILE (one a line)"
        )
