"""Published numbers: what a paper or a model's own release states for a model on a data set."""

import contextlib
import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePath

from snellen.classifiers.spec import parse_spec
from snellen.datasets.base import OWN_LABELS
from snellen.datasets.names import canonical, is_family, label_source
from snellen.datasets.spec import parse_name
from snellen.errors import DataError, ModelError
from snellen.labels.imagenet import IMAGENET

# Options of zero-shot models that say what holds where they are left out.
DEFAULTS: Mapping[str, object] = {"classnames": "openai", "templates": "openai80", "normalize": "own"}
ANY_MODEL = "*"


@dataclass(frozen=True)
class Published:
    """A published number, in percent or a count, and where it stands."""

    value: float
    source: str


@dataclass(frozen=True)
class _Row:
    """A line of published.csv; `models` are the specs that the number holds for."""

    dataset: str
    labels: str
    models: tuple[str, ...]
    metric: str
    value: float
    source: str


@dataclass(frozen=True)
class _Identity:
    """What of a spec says which model it is; `named`: whether it names a set of weights beside any checkpoint."""

    source: str
    named: bool
    checkpoint: str
    options: tuple[tuple[str, str], ...]


def lookup(dataset: str, labels: str | None, model: str, metric: str) -> list[Published]:
    """The published numbers of a model on a data set, by a label source (None: the data set's own).

    metric: `top1` and `top5` are of the model's own transform; all others are of the study's grid and named by where
        they stand in the JSON form of a summary: `one_crop`, `top_36`, `upper_bound`, `upper_bound.greedy_cover` (a
        count), `random_baseline.…`, `groups.zoom-in.upper_bound`, `locations.0.0`, `cover_tiles.0.0`,
        `merged.zoom-in.mean`. Not there: `groups.zoom-in.exclusive_shadowed`, which the study computed otherwise
        (docs/protocol.md).

    >>> lookup("imagenet+real", None, "torchvision/vit_b_32:IMAGENET1K_V1", "upper_bound")
    [Published(value=98.91, source='ImageNet-Hard (arXiv 2304.05538), Table 1')]
    """
    return [
        Published(row.value, row.source)
        for row in _index().get((*dataset_key(dataset, labels), metric), ())
        if any(same_model(pattern, model) for pattern in row.models)
    ]


def published_origins(dataset: str) -> dict[str, Published]:
    """How many images of a data set come from where, as published; nothing where nobody says so.

    >>> published_origins("imagenet-hard")["ObjectNet"].value
    1268.0
    """
    prefix = "origins."
    return {
        metric.removeprefix(prefix): Published(rows[0].value, rows[0].source)
        for (*key, metric), rows in _index().items()
        if metric.startswith(prefix) and tuple(key) == dataset_key(dataset)
    }


def dataset_key(data: str, labels: str | None = None) -> tuple[str, str]:
    """The canonical name of a data set and of the label source it is scored by.

    >>> dataset_key("imagenet-real"), dataset_key("imagenet", "real"), dataset_key("ImageNet_R@/data")
    (('imagenet', 'real'), ('imagenet', 'real'), ('imagenet-r', 'own'))
    """
    name, own = parse_name(data), None
    if is_family(name):
        with contextlib.suppress(DataError):  # a wildcard, or a folder that is only called so
            name, own = canonical(name), label_source(name)
    if labels in (None, OWN_LABELS):
        labels = own or (IMAGENET if name == IMAGENET else OWN_LABELS)
    return name, str(labels)


def same_model(pattern: str, model: str) -> bool:
    """Whether a spec is the model that a published number is of.

    Another normalisation or another option is another model. A checkpoint beside the name of its weights is taken at
    its word, unless its file is that of another published model; a pattern that names a file wants a file so called.

    >>> same_model("torchvision/resnet50:IMAGENET1K_V1", "torchvision/resnet50:IMAGENET1K_V1@copy.pth")
    True
    >>> same_model("torchvision/resnet50:IMAGENET1K_V1", "torchvision/resnet50:IMAGENET1K_V1,mean=0.5")
    False
    """
    if pattern == ANY_MODEL:
        return True
    want, have = _identity(pattern), _identity(model)
    if want is None or have is None or (want.source, want.options) != (have.source, have.options):
        return False
    if want.checkpoint or not have.checkpoint:
        return want.checkpoint == have.checkpoint
    return want.named and have.checkpoint not in _checkpoints()


@cache
def _identity(text: str) -> _Identity | None:
    """None for what nobody publishes numbers of: the user's own file, a served model."""
    place = re.search(r"@(.*?)(?=,\w+=|$)", text)
    try:
        spec = parse_spec(text.replace(place[0], "", 1) if place else text)
    except ModelError:
        return None
    if spec.kind == "file":
        return None
    options = ((key, repr(value)) for key, value in spec.options.items() if DEFAULTS.get(key) != value)
    named = {"torchvision": bool(spec.tag), "open_clip": bool(spec.tag), "timm": "." in spec.name}.get(spec.kind, True)
    return _Identity(spec.source, named, PurePath(place[1]).name if place else "", tuple(sorted(options)))


@cache
def _checkpoints() -> frozenset[str]:
    """File names by which published numbers tell models apart."""
    identities = (_identity(pattern) for row in _rows() for pattern in row.models)
    return frozenset(identity.checkpoint for identity in identities if identity and identity.checkpoint)


@cache
def _index() -> dict[tuple[str, str, str], list[_Row]]:
    """The lines of published.csv by data set, label source and metric."""
    found: dict[tuple[str, str, str], list[_Row]] = {}
    for row in _rows():
        found.setdefault((row.dataset, row.labels, row.metric), []).append(row)
    return found


@cache
def _rows() -> tuple[_Row, ...]:
    text = files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(
        _Row(
            row["dataset"],
            row["labels"],
            tuple(row["models"].split(" ")),
            row["metric"],
            float(row["value"]),
            row["source"],
        )
        for row in csv.DictReader(io.StringIO(text, newline=""))
    )
