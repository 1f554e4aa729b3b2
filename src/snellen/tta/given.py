"""What a caller hands to `ZoomTTA`: a model as a spec or a module, images of any kind, each in one form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from snellen.classifiers.base import IMAGENET_MEAN, IMAGENET_STD, OwnTransform
from snellen.classifiers.borrowed import evaluating
from snellen.classifiers.loaded import Loaded, triple
from snellen.classifiers.network import probe
from snellen.classifiers.spec import parse_spec
from snellen.errors import ModelError, UsageError
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.zoom.grid import WINDOW

# No network is normalised by as much, where pixels are in 0 … 1; one that is means 0 … 255.
LARGEST = 2


@dataclass(frozen=True)
class GivenModel:
    """A network and what is known of it.

    mean, std: of its views, RGB in 0 … 1. own: its own evaluation transform, where that is known.
    size: side of the views it is shown, in pixels. names: of its classes, in the order of its logits.
    """

    module: torch.nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    own: OwnTransform | None
    size: int
    names: tuple[str, ...]


def given_model(
    model: "str | torch.nn.Module",
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    classes: Sequence[str] | None = None,
    size: int | None = None,
) -> GivenModel:
    """What a spec or a module stands for, as `ZoomTTA` explains its arguments; a module is left as it is.

    Raises ModelError for a model that is none, that gives no logits, or that cannot be run on views of such a size.
    """
    if isinstance(model, str):
        if mean is not None or std is not None or classes is not None:
            raise ModelError("mean, std and classes go with a module; with a spec, write ,mean=…,std=…,classes=FILE")
        loaded = _loaded(model)
        module, means, stds, own = loaded.module, loaded.mean, loaded.std, loaded.own
        space: ClassSpace | None = loaded.space
    elif isinstance(model, torch.nn.Module):
        config = getattr(model, "pretrained_cfg", None) or {}  # what timm keeps with its networks
        means = _channels("mean", config.get("mean", IMAGENET_MEAN) if mean is None else mean)
        stds = _channels("std", config.get("std", IMAGENET_STD) if std is None else std)
        module, own = model, None
        if isinstance(classes, str):
            raise ModelError(f"classes={classes!r}: expected a list of names, such as Path({classes!r})'s lines")
        space = None if classes is None else ClassSpace.of_names(tuple(classes))
    else:
        raise ModelError(f"a {type(model).__name__} is no model: give a spec or a torch.nn.Module")
    if size is not None and size < 1:
        raise ModelError(f"size={size}: expected the side of the network's input in pixels")
    sizes = (size,) if size else tuple(dict.fromkeys((WINDOW, own.size if own else WINDOW)))
    try:
        with evaluating(module):
            shown, count = probe(module, sizes, device_of(module))
    except ModelError:
        _check_float32(module)
        raise
    return GivenModel(module, means, stds, own, shown, _names(space, count))


def _loaded(text: str) -> Loaded:
    from snellen.classifiers.sources import load

    spec = parse_spec(text)
    if spec.kind == "vlm":
        raise ModelError(f"{text} answers in words and gives no logits: its views cannot be merged")
    return load(spec)


def _channels(name: str, value: Sequence[float] | float) -> tuple[float, ...]:
    """One number a channel, of pixels in 0 … 1."""
    try:
        numbers = triple(name, value)
    except ModelError:
        kind = "numbers other than 0" if name == "std" else "numbers"
        raise ModelError(f"{name}={value!r}: expected {kind}, one or three, such as (0.485, 0.456, 0.406)") from None
    if max(numbers) > LARGEST:
        raise ModelError(f"{name}={value!r}: pixels are in 0 … 1 here, not in 0 … 255; divide by 255")
    return numbers


def _check_float32(module: torch.nn.Module) -> None:
    for value in module.parameters():
        if value.dtype in (torch.bfloat16, torch.float16):
            kind = str(value.dtype).removeprefix("torch.")
            raise ModelError(
                f"the network's parameters are {kind}: expected float32 ones; give it in float32 and cast the ZoomTTA "
                "(.bfloat16(), .half()) or call it under torch.autocast"
            )


def device_of(module: torch.nn.Module) -> torch.device:
    """Where a module's parameters are; the CPU where it has none."""
    return next((value.device for value in module.parameters()), torch.device("cpu"))


def _names(space: ClassSpace | None, classes: int) -> tuple[str, ...]:
    space = space or (IMAGENET_1K if classes == len(IMAGENET_1K) else None)
    if space is None:
        return tuple(f"class {k}" for k in range(classes))
    if len(space) != classes:
        raise ModelError(f"{len(space)} class names, but the model gives {classes} logits; name every class")
    return space.names


@torch.compiler.disable  # type: ignore[untyped-decorator]
def as_pictures(images: Any) -> list[Image.Image]:
    """RGB images of one image or a list: PIL, uint8 arrays `[h, w, 3]`, uint8 tensors `[3, h, w]` or `[n, 3, h, w]`.

    Raises UsageError for anything else, and for images without pixels; it says what was given.
    """
    if isinstance(images, list | tuple):
        return [picture for image in images for picture in as_pictures(image)]
    if isinstance(images, Image.Image):
        pictures = [images.convert("RGB")] if min(images.size) else [images]
    elif isinstance(images, torch.Tensor):
        if images.dtype != torch.uint8 or images.ndim not in (3, 4) or images.shape[-3] != 3:
            kind = str(images.dtype).removeprefix("torch.")
            raise UsageError(
                f"a tensor of {kind} {list(images.shape)}: expected decoded pixels, uint8 [3, height, width] at source "
                "resolution, not normalised ones"
            )
        batch = images if images.ndim == 4 else images[None]
        pictures = [Image.fromarray(image) for image in batch.permute(0, 2, 3, 1).contiguous().cpu().numpy()]
    elif isinstance(images, np.ndarray):
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[-1] != 3:
            raise UsageError(
                f"an array of {images.dtype} {list(images.shape)}: expected decoded pixels, uint8 [height, width, 3]"
            )
        pictures = [Image.fromarray(image) for image in (images if images.ndim == 4 else images[None])]
    else:
        raise UsageError(
            f"{type(images).__name__}: expected PIL images, uint8 arrays or uint8 tensors at source resolution"
        )
    for picture in pictures:
        if not min(picture.size):
            raise UsageError(f"an image of {picture.width} x {picture.height} pixels: expected one with pixels")
    return pictures
