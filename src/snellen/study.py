"""The main path: show every image of a data set to a classifier at every zoom, and keep what it answered."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.atomic import write_atomic, writing
from snellen.classifiers import Prepared, prepare
from snellen.datasets import DataSet, open_dataset
from snellen.engine.local import interruptible, job_of, run_local, worker_count
from snellen.engine.plan import Work, open_plan, session_record
from snellen.engine.progress import Reporter, silent
from snellen.errors import DataError, UsageError
from snellen.labels import ClassMap, ClassSpace
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
    limit: int | None = None,
    precision: str = "fp32",
    backend: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    keep_probs: bool = False,
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    report: Reporter = silent,
) -> Run:
    """Run the 324-zoom study of one model on one data set; a run that `out` holds part of is completed.

    model: a spec (`timm/NAME`, `torchvision/NAME`, `embedded/NAME`, `FILE.py:FUNCTION`), or a torch module that maps
        normalised views `[n, 3, 224, 224]` to logits; for a module also its `mean` and `std` (RGB in 0 … 1), its
        `classes` in the order of its logits (ImageNet-1k if left out) and a `name` for its directory.
    data: `examples`, a folder `DIR/<class>/<image>`, a name of the ImageNet family, `hub/…` or `parquet/…`.
    root: the folder that holds a named data set in its released layout.
    labels: a label source that `run.correct` will be asked for; a wrong one is found before the work.
    limit: only the first images; a later call with more extends the run.
    precision: `fp32`, `bf16` or `fp16`; part of the run's directory.
    batch_size, workers: chosen by measurement and by the number of cores or GPUs where None.
    keep_probs: also write all probabilities (float16).

    Raises DataError, ModelError, RunMismatch (the directory holds a run of something else), Stopped (interrupted,
    disk full: the same call resumes) and EngineError. Images that cannot be read end in `run.errors`.

    Method: Taesiri et al., "ImageNet-Hard", arXiv 2304.05538, section 3.
    """
    report.status(f"opening {data}")
    dataset = open_dataset(data, root)
    report.status(f"preparing {model if isinstance(model, str) else name or type(model).__name__}")
    prepared = prepare(
        model,
        precision=precision,
        backend=backend,
        device=device,
        batch_size=batch_size,
        mean=mean,
        std=std,
        classes=classes,
        name=name,
    )
    grid = paper_grid(prepared.card.view_size)
    return show(
        dataset,
        prepared,
        grid,
        Path(out),
        labels=[labels],
        limit=limit,
        batch_size=batch_size,
        workers=workers,
        keep_probs=keep_probs,
        report=report,
    )


def show(
    dataset: DataSet,
    prepared: Prepared,
    grid: Grid,
    out: Path,
    *,
    labels: Sequence[str | Path | None] = (),
    limit: int | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    keep_probs: bool = False,
    work: Work | None = None,
    report: Reporter = silent,
) -> Run:
    """Show a data set's images to a prepared model at every view of a grid, and keep what it answered under `out`.

    labels: sources that the run will be scored by; DataError where one is none, before anything is shown.
    work: what workers do with an image, where that is not to answer every view by itself.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit={limit}: expected at least 1 image")
    started = time.time()
    space = prepared.card.class_space
    classes = ClassMap.of(dataset.name, dataset.classes, space) if dataset.classes is not None else None
    files, prepared = label_files(dataset, space), prepared.within(classes)
    for source in labels:
        check_labels(dataset, space, source, limit)
    workers = worker_count(workers, prepared.device)
    opened = open_plan(
        dataset, prepared, grid, out, limit=limit, workers=workers, classes=classes, keep_probs=keep_probs, work=work
    )
    with opened as plan:
        for note in prepared.card.notes:
            report.status(note)
        with writing(plan.path):
            for file, text in files.items():
                write_atomic(plan.path / file, text)
            tasks = plan.tasks()
        if tasks:
            job = job_of(plan.path, dataset.spec, plan.record["fingerprint_parts"]["images"], grid, classes, keep_probs)
            job |= asdict(work) if work else {}
            ready = prepared.with_batch(batch_size or plan.record["batch_size"])
            images = sum(task.stop - task.start for task in tasks)
            with interruptible(), report.bar(images, work.cost if work else len(grid), of=plan.limit) as progress:
                run_local(job, ready, tasks, workers, progress.advance)
            with writing(plan.path):
                plan.finish(session_record(started, tasks, progress.views, workers))
    return Run(plan.path, plan.record)


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
