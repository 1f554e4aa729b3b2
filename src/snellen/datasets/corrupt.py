"""ImageNet-C made here: the corruptions of the released set, applied to clean images as they are read.

As the released set was made (hendrycks/robustness, ImageNet-C/create_c/make_imagenet_c.py): the shorter side resized to
256 (bilinear), the central 224 x 224 cut, corrupted, saved as JPEG of quality 85. It is not the released set, and its
name says so. The corruptions are those of the package imagecorruptions-imaug, whose strengths are the released ones but
for elastic_transform (no affine part, other strengths), and which differ in details: motion_blur and the streaks of
snow do without ImageMagick; zoom_blur and snow cut what they enlarge at its corner, not in its middle; frost enlarges
its pictures of ice by a tenth and uses six of them, not five; pixelate enlarges by nearest neighbours; and every draw
of noise is another.
"""

import contextlib
import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.datasets.base import DataSet, Item, ListedDataSet
from snellen.datasets.members import MADE_C
from snellen.datasets.spec import DataSpec, open_dataset
from snellen.errors import DataError
from snellen.labels import ClassSpace

RESIZE, CROP, QUALITY = 256, 224, 85
# What is decoded, as everywhere here: Pillow hands PostScript to Ghostscript, for one.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
LIBRARY = "imagecorruptions-imaug"
# The packages that decide what a made picture looks like, down to its noise.
PACKAGES = (LIBRARY, "numpy", "opencv-python", "pillow", "scikit-image", "scipy")
# Corruptions that draw from a generator of their own, which is seeded by an argument.
SEEDED = ("impulse_noise", "glass_blur")


def open_made(name: str, parsed: DataSpec) -> "MadeDataSet":
    """The made set of a canonical name `imagenet-c-made/<corruption>/<severity>`.

    The clean images are those of the option `from=DATA` (other options are its), else of `imagenet` at the root.
    Raises DataError where they cannot be opened, or the package that makes the corruptions is not installed.
    """
    _, corruption, severity = name.split("/")
    options = dict(parsed.options)
    if options and "from" not in options:
        raise DataError(f"{name} has no option {next(iter(options))!r}: expected from=DATA (its options may follow)")
    data = options.pop("from", "imagenet")
    if data.lower().startswith(MADE_C):
        raise DataError(f"from={data}: these images are corrupted already; give clean ones")
    source = open_dataset(data + "".join(f",{key}={value}" for key, value in options.items()), parsed.root)
    return MadeDataSet(source, corruption, int(severity))


class MadeDataSet(ListedDataSet):
    """The images of another data set, each corrupted as it is read; the same image is always made the same.

    Its labels are those of the images it is made from.
    """

    def __init__(self, source: DataSet, corruption: str, severity: int) -> None:
        self._source, self._corruption, self._severity = source, corruption, severity
        self._versions = _versions()
        made_from = "" if source.name == "imagenet" else f"{source.name}-"
        self.spec = f"{MADE_C}/{corruption}/{severity},from={source.spec}"
        self.name = (f"{made_from}c-made" if made_from else MADE_C) + f"/{corruption}/{severity}"
        self.items: Sequence[Item] = [Item(item.id, -1) for item in source.items]
        self.revision, self.breaks = source.revision, source.breaks
        self.classes, self.label_sources = source.classes, source.label_sources
        self.official = source.official

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the clean images, the corruption, and the versions of the packages that make it."""
        made = (self._source.fingerprint, self._corruption, self._severity, RESIZE, CROP, QUALITY, self._versions)
        return hashlib.sha256(repr(made).encode()).hexdigest()

    def reachable(self) -> bool:
        """Whether the clean images are still there."""
        return self._source.reachable()

    def read(self, index: int) -> bytes:
        """The made picture as JPEG bytes.

        A file that is no image is handed on as it is, so that it is reported as it would be in the clean set.
        """
        data = self._source.read(index)
        image = _decode(data, self._source.border)
        if image is None:
            return data
        pixels = corrupted(crop(image), self._corruption, self._severity, self.items[index].id)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY, optimize=True)
        return out.getvalue()

    def origin(self, index: int) -> str:
        """The made set's name."""
        return self.name

    def label_sets(self, ids: Sequence[str], space: ClassSpace, source: str | None = None) -> list[list[int]]:
        """The labels of the clean images."""
        return self._source.label_sets(ids, space, source)


def crop(image: Image.Image) -> NDArray[np.uint8]:
    """The central 224 x 224 of an RGB image whose shorter side was made 256: uint8 `[224, 224, 3]`.

    The arithmetic is torchvision's `Resize(256)`, then `CenterCrop(224)`.
    """
    width, height = image.size
    longer = int(RESIZE * max(width, height) / min(width, height))
    width, height = (RESIZE, longer) if width <= height else (longer, RESIZE)
    left, top = round((width - CROP) / 2), round((height - CROP) / 2)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + CROP, top + CROP)))


def corrupted(pixels: NDArray[np.uint8], corruption: str, severity: int, image_id: str) -> NDArray[np.uint8]:
    """Pixels under a corruption: uint8, the shape of `pixels` `[height, width, 3]`.

    The noise depends on the image's id, the corruption and the severity, and on nothing else. Raises DataError where
    the package that makes it cannot be loaded.
    """
    try:
        import cv2
        from imagecorruptions import corrupt
    except ImportError as error:  # OpenCV wants libraries of the system that a small one may lack
        raise DataError(f"the package {LIBRARY} cannot be loaded: {error}; install what it lacks") from error
    cv2.setNumThreads(1)  # a worker has one core
    seed = int.from_bytes(hashlib.sha256(f"{image_id}\0{corruption}\0{severity}".encode()).digest()[:4], "little")
    with _seeded(seed):
        seeds = {"seed": seed} if corruption in SEEDED else {}
        made: NDArray[np.uint8] = corrupt(pixels, severity=severity, corruption_name=corruption, **seeds)
    return made


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """NumPy's global generator at a seed, and afterwards as it was before."""
    before: Any = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)


def _decode(data: bytes, border: int) -> Image.Image | None:
    """The image in RGB less its border, or None where Pillow cannot decode it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as file:
                image = file.convert("RGB")
            return image.crop((border, border, image.width - border, image.height - border))
        except MemoryError:
            raise  # the machine's fault, not the image's
        except Exception:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others
            return None


def _versions() -> tuple[str, ...]:
    try:
        return tuple(f"{package} {version(package)}" for package in PACKAGES)
    except PackageNotFoundError as error:
        raise DataError(
            f"making corrupted images needs the package {error.name}: pip install 'snellen[corrupt]'"
        ) from error
