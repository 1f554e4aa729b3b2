"""What a target of `snellen view` is: runs, a hard set or a data set; its sets of images and the models on them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snellen.analysis.short_names import short_names
from snellen.datasets import DataSet, open_dataset
from snellen.errors import DataError, UsageError
from snellen.files import is_folder
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.mining.mined import is_finished, read_mined, read_record
from snellen.places import place
from snellen.store import Run
from snellen.store.find import find_runs, read_run_json, reading
from snellen.store.labels import find_labels
from snellen.web.viewed import Kind, ViewModel, ViewSet


@dataclass(eq=False)
class Target:
    """What is viewed: `sets` by key. title: what the page is headed with. given: as it was given."""

    kind: Kind
    given: str
    title: str
    sets: dict[str, ViewSet]
    root: str | None = None
    labels: str | None = None
    _keys: dict[str, dict[tuple[Path, str], str]] = field(default_factory=dict)

    @property
    def hard(self) -> Path | None:
        """The folder of the hard set, where it is one."""
        return place(self.given) if self.kind == "hard" else None

    def refresh(self) -> None:
        """Take in what was written since: more of the runs, and runs that were not there; keys stay.

        A hard set stays as it was opened: mined again its images have other positions, and a page that shows them
        would give its verdicts on others.
        """
        if self.kind != "runs":
            return
        for found in _run_sets(find_runs(self.given), self.given, self.root, self.labels):
            known = next((one for one in self.sets.values() if _same(one, found)), None)
            if known is None:
                key = f"s{len(self.sets)}"
                self.sets[key] = found
                found.key = key
                continue
            # Also those of runs that are gone: no other is ever shown in their place.
            keys = self._keys.setdefault(known.key, {_named(one): one.key for one in known.models})
            models = [replace(one, key=keys.setdefault(_named(one), f"m{len(keys)}")) for one in found.models]
            known.models, known.count = sorted(models, key=lambda one: int(one.key[1:])), found.count


def open_target(target: str, *, root: str | Path | None = None, labels: str | None = None) -> Target:
    """What `target` names: a folder with runs, a hard set, or a data set.

    root: the folder that holds a named data set. labels: a label source of the runs, or a CSV.
    Raises UsageError where it is nothing of this, DataError where it is damaged, Stopped where a store cannot be
    reached.
    """
    where = None if root is None else str(root)
    if labels is not None and _is_file(labels) and not Path(labels).is_file():
        raise UsageError(f"--labels {labels!r}: there is no such file; give a label source, or a CSV that is there")
    path = place(target)
    title = path.name or target
    with reading(path):
        folder = is_folder(path)
    record = read_record(path) if folder else None
    if record is not None and is_finished(record):
        return Target("hard", target, title, {"s0": _hard_set(target, where, labels)}, where, labels)
    runs: list[Run] = []
    no_run: UsageError | None = None
    if folder:
        try:
            runs = find_runs(path)
        except UsageError as error:
            no_run = error
    if runs:
        sets = _run_sets(runs, target, where, labels)
        for one in sets:
            one.unfinished = record is not None
            if labels is not None and labels not in one.models[0].run.label_sources:
                find_labels(one.models[0].run.path, labels)
        return Target("runs", target, title, {one.key: one for one in sets}, where, labels)
    try:
        dataset = open_dataset(target, root)
    except DataError as error:
        if no_run is not None:
            raise UsageError(
                f"{target!r} is nothing to view: it holds no run (run.json), no finished hard set and no image"
            ) from error
        if not folder:
            raise UsageError(f"no folder of runs (OUT) or hard set (HARD) {target!r}; and {error}") from error
        raise
    return Target("data", target, dataset.name, {"s0": _data_set(dataset, target, where, labels)}, where, labels)


def set_of_job(job: Mapping[str, Any]) -> ViewSet:
    """The set that `ViewSet.job` describes, as it is now."""
    if job["kind"] == "data":
        return _data_set(open_dataset(job["place"], job["root"]), job["place"], job["root"], job["labels"])
    if job["kind"] == "hard":
        again = _hard_set(job["place"], job["root"], job["labels"])
        if again.mined_digest != job["mined"]:
            raise DataError(f"{job['place']!r} was mined again meanwhile; end `snellen view` and start it again")
        return again
    runs = [Run(path, read_run_json(path)) for path in (place(one["runs"]["0"]) for one in job["models"])]
    (found,) = _run_sets(runs, job["place"], job["root"], job["labels"])
    found.models = [replace(one, key=known["key"]) for one, known in zip(found.models, job["models"], strict=True)]
    return found


def _is_file(labels: str) -> bool:
    """Whether a label source is meant to be a file."""
    return "/" in labels or os.sep in labels or labels.lower().endswith(".csv")


def _named(model: ViewModel) -> tuple[Path, str]:
    return model.run.path, str(model.run.record["fingerprint"])


def _same(one: ViewSet, other: ViewSet) -> bool:
    return _identity(one.models[0].run) == _identity(other.models[0].run)


def _identity(run: Run) -> tuple[Any, ...]:
    """What runs have in common that are of the same images and classes."""
    parts = run.record["fingerprint_parts"]
    return run.data_name, parts.get("images"), parts.get("border", 0), run.class_space.fingerprint


def _run_sets(runs: list[Run], target: str, root: str | None, labels: str | None) -> list[ViewSet]:
    grouped: dict[tuple[Any, ...], list[tuple[str, Run]]] = {}
    for name, run in zip(short_names(runs), runs, strict=True):
        grouped.setdefault(_identity(run), []).append((name, run))
    found = []
    for k, some in enumerate(grouped.values()):
        run = some[0][1]
        sources = run.label_sources if labels is None else (labels,)
        count = max(one.record["shards"][-1] for _, one in some)
        models = [ViewModel(f"m{j}", name, {0: one}) for j, (name, one) in enumerate(some)]
        found.append(
            ViewSet(
                f"s{k}", str(run.record["data"]["name"]), "runs", target, root, labels,
                (run.data,), run.class_space, tuple(sources), count, {0: _border(run)}, models,
            )
        )  # fmt: skip
    return found


def _border(run: Run) -> int:
    return int(run.record["fingerprint_parts"].get("border") or 0)


def _hard_set(target: str, root: str | None, labels: str | None) -> ViewSet:
    if labels is not None:
        raise UsageError(f"--labels {labels}: a hard set is shown with the labels it was mined by; leave it out")
    mined = read_mined(place(target))
    sources = [one for one in mined.record.get("sources", ()) if isinstance(one, dict)]
    of_images = {one.get("fingerprint"): k for k, one in enumerate(sources)}
    by_model: dict[str, dict[int, Run]] = {}
    try:
        runs = find_runs(mined.folder)
    except UsageError:
        runs = []
    for run in runs:
        source = of_images.get(run.record["fingerprint_parts"].get("images"))
        whole = len(run.grid) == mined.record.get("zooms", len(run.grid))  # not what `--leave-one-out` asked beside it
        if source is not None and whole and run.model in mined.record["miners"]:
            by_model.setdefault(f"{run.model}\0{run.record['model']['precision']}\0{run.grid.name}", {})[source] = run
    # One run of each, all of one data set, so that names tell models apart and nothing else.
    names = short_names([next(iter(some.values())) for some in by_model.values()])
    models = [
        ViewModel(f"m{k}", name, some) for k, (name, some) in enumerate(zip(names, by_model.values(), strict=True))
    ]
    borders = {k: _border(run) for one in models for k, run in one.runs.items()}
    return ViewSet(
        "s0", place(target).name, "hard", target, root, labels,
        tuple(str(one.get("spec")) for one in sources), mined.space, ("mined",), len(mined.images),
        borders, models, mined,
    )  # fmt: skip


def _data_set(dataset: DataSet, target: str, root: str | None, labels: str | None) -> ViewSet:
    if labels is not None and labels not in dataset.label_sources:
        raise UsageError(f"--labels {labels}: {dataset.name} has {', '.join(dataset.label_sources)}")
    sources = dataset.label_sources if labels is None else (labels,)
    space = _space_of(dataset)
    return ViewSet(
        "s0", dataset.name, "data", target, root, labels, (target,), space, tuple(sources), len(dataset.items),
        {0: dataset.border}, _datasets=[dataset],
    )  # fmt: skip


def _space_of(dataset: DataSet) -> ClassSpace:
    """The classes that a data set's labels are of: ImageNet's where they mean such, else the names it has itself."""
    ids = [item.id for item in dataset.items]
    try:
        dataset.label_sets(ids, IMAGENET_1K, None)
    except DataError:
        own = getattr(dataset, "class_names", None) or sorted({image.split("/")[0] for image in ids if "/" in image})
        try:
            return ClassSpace.of_names(tuple(dict.fromkeys(map(str, own)))) if own else IMAGENET_1K
        except DataError:
            return IMAGENET_1K
    return IMAGENET_1K
