"""The main path: show every image of a data set to a classifier at every zoom, and keep what it answered."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from snellen.atomic import write_atomic, writing
from snellen.classifiers import Prepared
from snellen.datasets import DataSet, open_dataset
from snellen.engine.drive import interruptible, job_of, manned, run_engine
from snellen.engine.held import Held
from snellen.engine.names import run_directory
from snellen.engine.plan import Plan, Work, open_plan
from snellen.engine.record import on_recorded_backend, session_record
from snellen.engine.running import Running, completed, prepare_model
from snellen.errors import DataError, UsageError
from snellen.labels import ClassMap, ClassSpace
from snellen.places import place
from snellen.store import Run
from snellen.store.labels import encode_labels, labels_file, read_labels
from snellen.zoom import Grid, paper_grid

if TYPE_CHECKING:
    import torch


def study(
    model: "str | torch.nn.Module" = "embedded/efficientnet_lite0",
    data: str | Path = "examples",
    *,
    root: str | Path | None = None,
    labels: str | Path | None = None,
    out: str | Path = "snellen-out",
    keep_probs: bool = False,
    **running: Unpack[Running],
) -> Run:
    """Run the 324-zoom study of one model on one data set; a run that `out` holds part of is completed.

    model: a spec (`timm/NAME`, `torchvision/NAME`, `embedded/NAME`, `FILE.py:FUNCTION`), or a torch module that maps
        normalised views `[n, 3, 224, 224]` to logits; with its `mean`, `std`, `classes` and `name`.
    data: `examples`, a folder `DIR/<class>/<image>`, a name of the ImageNet family, `hub/…` or `parquet/…`.
    root: the folder that holds a named data set in its released layout.
    labels: a label source that `run.correct` will be asked for; a wrong one is found before the work.
    keep_probs: also write all probabilities, in two bytes each.
    running: limit, precision, backend, device, batch_size, workers, engine, …; see `snellen.engine.running.Running`.

    Raises DataError, ModelError, RunMismatch (the directory holds a run of something else), Stopped (interrupted,
    disk full: the same call resumes) and EngineError. Images that cannot be read end in `run.errors`.

    Method: Taesiri et al., "ImageNet-Hard", arXiv 2304.05538, section 3.
    """
    options = completed("study", running)
    options["report"].status(f"opening {data}")
    dataset = open_dataset(data, root)
    prepared = prepare_model(model, options)
    grid = paper_grid(prepared.card.view_size)
    return show(dataset, prepared, grid, place(out), options, labels=[labels], keep_probs=keep_probs)


def show(
    dataset: DataSet,
    prepared: Prepared,
    grid: Grid,
    out: Path,
    running: Running,
    *,
    labels: Sequence[str | Path | None] = (),
    keep_probs: bool = False,
    work: Work | None = None,
) -> Run:
    """Show a data set's images to a prepared model at every view of a grid, and keep what it answered under `out`.

    running: all of the options, as `completed` gives them.
    labels: sources that the run will be scored by; DataError where one is none, before anything is shown.
    work: what workers do with an image, where that is not to answer every view by itself.
    """
    started, clock = time.time(), time.monotonic()
    with opened(dataset, prepared, grid, out, running, labels=labels, keep_probs=keep_probs, work=work) as run:
        plan = run.plan
        with writing(plan.path):
            tasks = plan.tasks()
        if tasks:
            images = sum(task.stop - task.start for task in tasks)
            bar = running["report"].bar(images, work.cost if work else len(grid), of=plan.limit)
            options: Running = {**running, "workers": run.workers}
            with writing(plan.path, begun=True):
                with interruptible(), bar as progress:
                    run_engine(run.job, run.prepared, tasks, options, progress.advance, Held(plan.path, plan.lock))
                plan.finish(session_record(started, time.monotonic() - clock, tasks, progress.views, run.workers))
    return Run(plan.path, plan.record)


@dataclass(frozen=True)
class Opened:
    """A run that is open for work. prepared: in batches of the run's size. job: what every worker is told."""

    plan: Plan
    prepared: Prepared
    workers: int
    job: dict[str, Any]


@contextlib.contextmanager
def opened(
    dataset: DataSet,
    prepared: Prepared,
    grid: Grid,
    out: Path,
    running: Running,
    *,
    labels: Sequence[str | Path | None] = (),
    keep_probs: bool = False,
    work: Work | None = None,
) -> Iterator[Opened]:
    """Start a run or take it up, with its label files beside it; takes and raises what `show` does."""
    limit, report = running["limit"], running["report"]
    if limit is not None and limit < 1:
        raise UsageError(f"limit={limit}: expected at least 1 image")
    space = prepared.card.class_space
    classes = ClassMap.of(dataset.name, dataset.classes, space) if dataset.classes is not None else None
    files, prepared = label_files(dataset, space), prepared.within(classes)
    for source in labels:
        check_labels(dataset, space, source, limit)
    with writing(out):
        prepared = on_recorded_backend(prepared, run_directory(out, dataset, prepared, grid))
    with (
        manned(running, prepared.device) as workers,
        open_plan(
            dataset,
            prepared,
            grid,
            out,
            limit=limit,
            workers=workers,
            classes=classes,
            keep_probs=keep_probs,
            work=work,
            say=report.status,
        ) as plan,
    ):
        for note in prepared.card.notes:
            report.status(note)
        with writing(plan.path):
            for file, text in files.items():
                write_atomic(plan.path / file, text)
        images = plan.record["fingerprint_parts"]["images"]
        job = job_of(plan.path, dataset.spec, images, grid, classes, keep_probs) | (asdict(work) if work else {})
        yield Opened(plan, prepared.with_batch(running["batch_size"] or plan.record["batch_size"]), workers, job)


def label_files(dataset: DataSet, space: ClassSpace) -> dict[str, bytes]:
    """Every label source of a data set as a file beside its run; scores are made when they are read."""
    ids, sources = [item.id for item in dataset.items], dataset.label_sources
    texts = {source: encode_labels(ids, dataset.label_sets(ids, space, source), space) for source in sources}
    files = {labels_file(): texts[sources[0]]}
    return files | ({labels_file(source): text for source, text in texts.items()} if len(sources) > 1 else {})


def check_labels(dataset: DataSet, space: ClassSpace, source: str | Path | None, limit: int | None) -> None:
    """Raise DataError where `source` is neither a label source of the data set nor a CSV that labels its images."""
    if source is None or source in dataset.label_sources:
        return
    if not Path(source).is_file():
        there = ", ".join(dataset.label_sources)
        raise DataError(f"no labels {str(source)!r}: {dataset.name} has {there}; or give a CSV (image_id, labels)")
    read_labels(Path(source), [item.id for item in dataset.items[:limit]], space)
