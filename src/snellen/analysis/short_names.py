"""Short names that tell runs apart."""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import PurePath

from snellen.store import Run

# What canonical specs look like; those of modules too (`module/NAME`).
_SPEC = re.compile(r"(?P<kind>[a-z_]+)/(?P<name>[^@]+?)(?:@(?P<place>.*))?")


def short_names(runs: Sequence[Run]) -> list[str]:
    """A readable name for each run: its model's, and in brackets what tells it from the runs of the same name.

    No two runs on the same data set share a name; a model keeps its name from one data set to the next. Paths lose
    their folders. What is added is the first of these that differs: library, weights, checkpoint, options, precision,
    grid, the folder that was given as OUT, and at last a number.
    """
    parts = [_parts(run.model) for run in runs]
    names = [[name] for name, _ in parts]
    precisions, grids = [str(run.record["model"]["precision"]) for run in runs], [run.grid.name for run in runs]
    facts = [*zip(*(details for _, details in parts), strict=True), precisions, [f"grid {name}" for name in grids]]
    for fact in facts:
        _tell_apart(names, fact, [tuple(name) for name in names])
    folders = [run.path.parts[-4] if len(run.path.parts) > 4 else "" for run in runs]
    _tell_apart(names, folders, [(*name, run.data_name) for name, run in zip(names, runs, strict=True)])
    count: Counter[tuple[str, ...]] = Counter()
    for name, run in zip(names, runs, strict=True):
        key = (*name, run.data_name)
        count[key] += 1
        name += [f"no. {count[key]}"] if count[key] > 1 else []
    return [f"{name} ({', '.join(added)})" if added else name for name, *added in names]


def _tell_apart(names: list[list[str]], fact: Sequence[str], keys: Sequence[Hashable]) -> None:
    """Add a fact to the names that have a key in common and differ in it."""
    found: dict[Hashable, set[str]] = {}
    for key, value in zip(keys, fact, strict=True):
        found.setdefault(key, set()).add(value)
    for name, key, value in zip(names, keys, fact, strict=True):
        name += [value] if value and len(found[key]) > 1 else []


def _parts(spec: str) -> tuple[str, tuple[str, ...]]:
    """The model's bare name; library, weights, checkpoint and options, each "" where there is none.

    >>> _parts("timm/mobilenetv2_100@/some/where/w.safetensors,pad_type=same,mean=0.5")
    ('mobilenetv2_100', ('timm', '', 'w.safetensors', 'pad_type=same,mean=0.5'))
    >>> _parts("open_clip/ViT-B-32,openai"), _parts("/home/me/pets.py:tiny,width=16")
    (('ViT-B-32', ('open_clip', 'openai', '', '')), ('tiny', ('', '', 'pets.py', 'width=16')))
    """
    head, *pairs = re.split(r",(?=\w+=)", spec)
    options = ",".join(f"{key}={_last(value)}" for key, _, value in (pair.partition("=") for pair in pairs))
    found = _SPEC.fullmatch(head)
    if not found:
        file, _, function = head.rpartition(":")
        return _last(function), ("", "", _last(file), options)
    name, tag = found["name"], ""
    if found["kind"] in ("torchvision", "open_clip"):
        name, *tags = re.split("[:,]", name, maxsplit=1)
        tag = "".join(tags)
    return _last(name), (found["kind"], tag, _last(found["place"] or ""), options)


def _last(path: str) -> str:
    return PurePath(path).name or path
