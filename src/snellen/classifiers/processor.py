"""What transformers' image processors do to an image, as Snellen cuts and normalises it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.classifiers.base import OwnTransform
from snellen.classifiers.loaded import triple
from snellen.errors import ModelError
from snellen.zoom.grid import Filter, Fit
from snellen.zoom.render import render

# Pillow's numbers of the filters, which the settings hold.
FILTERS: dict[int, Filter] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
# Levels of 255 by which a processor may differ from ours: rounding, and where it has no Pillow variant, torchvision's.
ROUNDING, TORCHVISION = 0.1, 3.0


@dataclass(frozen=True)
class Processing:
    """An image processor's work: cut `own`, bring RGB to 0 … 1, subtract `mean`, divide by `std`, then swap channels.

    bgr: whether the network is given blue first.
    """

    own: OwnTransform
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool

    def tensor(self, image: Image.Image) -> NDArray[np.float32]:
        """What the network is given for an RGB image: float32 `[3, size, size]`."""
        view = render(image, [self.own.rule()])[0].astype(np.float32) / np.float32(255)
        pixels = (view - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.asarray(np.moveaxis(pixels[..., ::-1] if self.bgr else pixels, 2, 0))


def read_processor(folder: Path) -> Any:
    """The image processor of a model's folder; its Pillow variant, where it has one."""
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False, local_files_only=True)


def processing_of(processor: Any, name: str) -> Processing:
    """What an image processor does.

    Raises ModelError, naming the field, for one that Snellen cannot cut, and for one that is found to do more than
    its fields say. Source of what the fields mean: transformers/image_processing_backends.py and the processors of
    single models (ConvNext, PoolFormer and Levit enlarge the size they are given; EfficientNet normalises twice).
    """
    if hasattr(processor, "data_config"):  # a network of timm's in transformers' clothes
        from snellen.classifiers.timm import own_transform as timm_transform

        config = processor.data_config
        found = Processing(timm_transform(config, name), tuple(config["mean"]), tuple(config["std"]), False)
    else:
        mean, std = _normalisation(processor)
        bgr = bool(getattr(processor, "do_flip_channel_order", False))
        found = Processing(own_transform(processor, name), mean, std, bgr)
    _check(processor, found, name)
    return found


def own_transform(processor: Any, name: str) -> OwnTransform:
    """An image processor's resizing and cropping; ModelError, naming the field, where Snellen cannot cut it."""

    def refuse(field: str) -> ModelError:
        value = getattr(processor, field, None)
        value = dict(value) if field.endswith("size") and value else value
        return ModelError(
            f"{name}: its image processor ({type(processor).__name__}) has {field}={value}, which is not supported; "
            "known are resizing to a square or to a shorter side and cutting a square"
        )

    if not processor.do_resize:
        raise refuse("do_resize")
    sides = dict(processor.size or {})
    if sides.keys() == {"shortest_edge"}:
        resize, mode = int(sides["shortest_edge"]), "shorter"
    elif sides.keys() == {"height", "width"} and sides["height"] == sides["width"]:
        resize, mode = int(sides["height"]), "squash"
    else:
        raise refuse("size")
    cuts = dict(processor.crop_size or {}) if processor.do_center_crop else {}
    if len(set(cuts.values())) > 1 or (cuts and cuts.keys() != {"height", "width"}):
        raise refuse("crop_size")
    size = int(cuts["height"]) if cuts else 0
    resize, size, fit = _of_its_kind(processor, resize, size, "squash" if mode == "squash" else "shorter")
    if not size and fit == "shorter":
        raise refuse("do_center_crop")
    if processor.resample not in FILTERS:
        raise refuse("resample")
    return OwnTransform(size or resize, resize, FILTERS[int(processor.resample)], fit, "floor")


def _of_its_kind(processor: Any, resize: int, size: int, fit: Fit) -> tuple[int, int, Fit]:
    """Resize, size and fit after what the processors of single models do with the fields."""
    kind: str = type(processor).__name__
    share: Any = getattr(processor, "crop_pct", None)
    if kind.startswith("ConvNext"):  # below 384 pixels it crops, from there on it squashes
        return (int(resize / share), resize, "shorter") if resize < 384 else (resize, resize, "squash")
    if kind.startswith("PoolFormer") and share:
        return int(resize / share), size, "shorter"
    if kind.startswith("Levit") and fit == "shorter":
        return int(256 / 224 * resize), size, fit
    return resize, size, fit


def _normalisation(processor: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std, over RGB in 0 … 1, that do what rescaling and normalising by the fields do."""
    unit = 255 * processor.rescale_factor if processor.do_rescale else 255.0
    unit = 1.0 if abs(unit - 1) < 1e-9 else unit
    offset = 1.0 if processor.do_rescale and getattr(processor, "rescale_offset", False) else 0.0
    means, stds = np.zeros(3), np.ones(3)
    if processor.do_normalize:
        means, stds = np.array(triple("mean", processor.image_mean)), np.array(triple("std", processor.image_std))
    if getattr(processor, "include_top", False):
        stds = stds * np.array(triple("std", processor.image_std))
    return triple("mean", (means + offset) / unit), triple("std", stds / unit)


def _check(processor: Any, found: Processing, name: str) -> None:
    """Hold what was read from the fields against what the processor does to two pictures."""
    rng = np.random.default_rng(0)
    variant = getattr(processor, "backend", "pil")
    allowed = TORCHVISION if variant == "torchvision" else ROUNDING
    for height, width in ((67, 90), (101, 64)):
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        try:
            theirs = processor(images=image, return_tensors="pt")["pixel_values"][0].numpy()
        except Exception as error:  # a processor may want other than an image, and raise anything
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"{name}: its image processor ({type(processor).__name__}) fails: {reason}") from error
        ours = found.tensor(image)
        levels = np.array(found.std[::-1] if found.bgr else found.std)[:, None, None] * 255
        apart = np.abs(theirs - ours) * levels if theirs.shape == ours.shape else np.array(np.inf)
        if not apart.max() <= allowed:
            raise ModelError(
                f"{name}: its image processor ({type(processor).__name__}) does something else than its size, "
                "crop_size and normalisation say; such models are not supported"
            )
