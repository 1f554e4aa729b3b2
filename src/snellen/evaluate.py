"""The benchmark: every model, with its own evaluation transform, on every data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from snellen.analysis.benchmark import Result, result_of
from snellen.classifiers import Prepared, expand_models
from snellen.datasets import expand_data, label_source, open_dataset
from snellen.engine.running import Running, completed, prepare_model
from snellen.errors import DataError, EngineError, ModelError, SnellenError, UsageError
from snellen.places import place
from snellen.report.results import read_results, write_results
from snellen.study import show
from snellen.zoom import Grid

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and what could not be: (model or data set, why)."""

    results: list[Result]
    failures: list[tuple[str, SnellenError]]


def evaluate(
    models: "str | torch.nn.Module | Sequence[str | torch.nn.Module]" = "embedded/efficientnet_lite0",
    data: str | Path | Sequence[str | Path] = "examples",
    *,
    root: str | Path | None = None,
    labels: str | Path | Sequence[str | Path] | None = None,
    out: str | Path = "snellen-out",
    **running: Unpack[Running],
) -> Evaluation:
    """Score models on data sets, each model with its own transform; what `out` holds already is not done again.

    models: specs, wildcards over a library's names (`timm/*vit*`), text files of specs, or a torch module with its
        `mean`, `std`, `classes` and `name` as in `study`.
    data: what `study` takes, and names of many: `imagenet-c`, `imagenet-c/*/3`, `imagenet-robustness`.
    labels: label sources to score by, one result each (`imagenet`, `real`, `imagenet+real`, or a CSV); None for that
        of the data set's name. One run serves all.
    running: limit, precision, backend, device, batch_size, workers, engine, …; see `snellen.engine.running.Running`.

    Writes `results.csv` under `out`. A model or a data set that cannot be had is left out and listed in `failures`;
    ModelError or DataError where nothing is left.
    """
    options = completed("evaluate", running)
    report = options["report"]
    several = [models] if isinstance(models, str) or not isinstance(models, Sequence) else list(models)
    for model in several:
        if not isinstance(model, str) and not hasattr(model, "state_dict"):
            raise ModelError(f"{model!r} is no model: give a spec or a torch.nn.Module")
    expanded = [one for model in several for one in (expand_models(model) if isinstance(model, str) else [model])]
    specs = list(dict.fromkeys(expanded))
    sets = [data] if isinstance(data, str | Path) else list(data)
    names = list(dict.fromkeys(name for one in sets for name in (expand_data(one) if isinstance(one, str) else [one])))
    if not specs or not names:
        raise UsageError("nothing to evaluate: give at least one model and one data set")
    read_results(place(out))  # what cannot be added to is found out before the work
    sources: list[str | Path | None] = [labels] if isinstance(labels, str | Path) else list(labels or [])
    failures: list[tuple[str, SnellenError]] = []
    if len(names) == 1:  # a wrong one is cheaper to find than a model is to prepare
        open_dataset(names[0], root)
    ready: list[Prepared] = []
    for model in specs:
        # The options of a module are not for the specs beside it.
        its = options if not isinstance(model, str) else {**options, "mean": None, "std": None, "classes": None}
        try:
            ready.append(prepare_model(model, its, own=True))
        except ModelError as error:
            _note(failures, str(model), error, alone=len(specs) == 1)
    results: list[Result] = []
    try:
        for one in names if ready else []:
            report.status(f"opening {one}")
            try:
                dataset = open_dataset(one, root)
            except DataError as error:
                _note(failures, str(one), error, alone=len(names) == 1)
                continue
            for prepared in ready:
                pair = f"{prepared.text} on {dataset.name}"
                report.status(pair)
                grid = Grid("own", (prepared.card.own.rule(),))
                scored_by = sources or [label_source(one)]
                try:
                    run = show(dataset, prepared, grid, place(out), options, labels=scored_by)
                    results.extend(result_of(run, source) for source in scored_by)
                except (UsageError, EngineError) as error:
                    _note(failures, pair, error, alone=len(names) * len(specs) == 1)
    finally:  # what is finished is kept, whatever stops the rest
        if results:
            write_results(place(out), results)
    if not results:
        raise UsageError(f"nothing could be evaluated; the first of {len(failures)} reasons: {failures[0][1]}")
    return Evaluation(results, failures)


def _note(failures: list[tuple[str, SnellenError]], what: str, error: SnellenError, alone: bool) -> None:
    """Keep a failure and go on with the others; the error itself where there are none."""
    if alone:
        raise error
    failures.append((what, error))
