"""`--expect`: the numbers a published result states, beside those just measured."""

import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snellen.analysis.published import dataset_key, same_model
from snellen.errors import UsageError

# Published numbers are rounded to two decimals of a percent.
ROUNDING = 0.005
FORM = "it needs title, source, commands, models and tables expect.DATA of METRIC = { MODEL = PERCENT }"


@dataclass(frozen=True)
class ExpectedNumber:
    """One published number: `model` is a spec or `*` for any, `metric` a path as in `Measured`."""

    model: str
    data: str
    labels: str
    metric: str
    percent: float


@dataclass(frozen=True)
class Expected:
    """A published result: its numbers, where they stand, and the commands that reproduce them."""

    title: str
    source: str
    commands: tuple[str, ...]
    numbers: tuple[ExpectedNumber, ...]


@dataclass(frozen=True)
class Measured:
    """One measured number, a share in 0 … 1; `low` and `high` are None where it has no interval.

    metric: where it stands in the JSON form of a result, joined by dots: `top1`, `upper_bound`, `locations.0.2`.
    """

    model: str
    data: str
    labels: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Comparison:
    """A published number beside ours, in percent.

    inside: whether our interval holds it, None where we have none; found: our number as it was measured.
    """

    model: str
    data: str
    labels: str
    metric: str
    published: float
    ours: float
    inside: bool | None
    n: int | None
    found: Measured | None = field(default=None, compare=False, repr=False)

    @property
    def difference(self) -> float:
        """Ours less the published one, in points of percent."""
        return self.ours - self.published


def read_expected(path: str | Path) -> Expected:
    """The published result in a TOML file such as those of `configs/`.

    It has `title`, `source`, `commands`, the table `models` (a short name for each spec) and the tables
    `expect.DATA`, each with a line for a metric: `upper_bound = { AlexNet = 93.48, … }` in percent, or lists of
    numbers (`locations`). `"*"` stands for any model.

    Raises UsageError where the file is not there or not of this form.
    """
    try:
        with Path(path).open("rb") as file:
            record = tomllib.load(file)
        lacking = [name for name in ("title", "source", "commands", "models", "expect") if name not in record]
        if lacking:
            raise UsageError(f"{str(path)!r} is no file of expected numbers: it lacks {', '.join(lacking)}; {FORM}")
        models = {"*": "*"} | record["models"]
        named = {name for metrics in record["expect"].values() for by in metrics.values() for name in by}
        unknown = sorted(named - models.keys())
        if unknown:
            raise UsageError(f"{str(path)!r}: model {unknown[0]!r} is not listed in its table models")
        numbers = tuple(
            ExpectedNumber(models[name], *dataset_key(data), ".".join([metric, *place]), float(value))
            for data, metrics in record["expect"].items()
            for metric, by_model in metrics.items()
            for name, values in by_model.items()
            for place, value in _leaves(values)
        )
        return Expected(record["title"], record["source"], tuple(record["commands"]), numbers)
    except OSError as error:
        raise UsageError(
            f"no expected numbers at {str(path)!r}: {error.strerror}; see configs/ for files of them"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{str(path)!r} is not TOML: {error}") from error
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"{str(path)!r} is no file of expected numbers ({error}); {FORM}") from error


def measured(model: str, data: str, labels: str | None, record: Mapping[str, Any]) -> list[Measured]:
    """Every number of a result's JSON form, `Summary.to_json()` for example, by where it stands there.

    An object with `value`, `low`, `high` and `n` is one number with its interval.
    """
    name, source = dataset_key(data, labels)
    return [Measured(model, name, source, ".".join(place), *_with_interval(value)) for place, value in _shares(record)]


def compare(expected: Expected, results: Iterable[Measured]) -> list[Comparison]:
    """What was measured of what is expected, in the order of the file.

    A number counts for a result where data set, label source and metric are the same and the spec is the same model
    (`analysis/published.py`).
    """
    by_place: dict[tuple[str, str, str], list[Measured]] = {}
    for one in results:
        by_place.setdefault((one.data, one.labels, one.metric), []).append(one)
    return [
        Comparison(
            one.model,
            one.data,
            one.labels,
            one.metric,
            number.percent,
            100 * one.value,
            _holds(one, number.percent),
            one.n,
            one,
        )
        for number in expected.numbers
        for one in by_place.get((number.data, number.labels, number.metric), ())
        if same_model(number.model, one.model)
    ]


def unmeasured(expected: Expected, results: Iterable[Measured]) -> list[str]:
    """The metrics that are expected of what was run and that no result of it has, in the order of the file."""
    found = list(results)
    runs = {(one.model, one.data, one.labels) for one in found}
    metrics = {one.metric for one in found}
    return list(
        dict.fromkeys(
            number.metric
            for number in expected.numbers
            if number.metric not in metrics
            and any((number.data, number.labels) == run[1:] and same_model(number.model, run[0]) for run in runs)
        )
    )


def _holds(one: Measured, percent: float) -> bool | None:
    if one.low is None or one.high is None:
        return None
    return 100 * one.low - ROUNDING <= percent <= 100 * one.high + ROUNDING


def _leaves(values: Any) -> Iterator[tuple[list[str], Any]]:
    """The numbers in nested lists, each with its indices."""
    if isinstance(values, list):
        for index, value in enumerate(values):
            for place, leaf in _leaves(value):
                yield [str(index), *place], leaf
    else:
        yield [], values


def _shares(record: Any) -> Iterator[tuple[list[str], Any]]:
    """The shares and the bare numbers of a JSON form, each with its place."""
    if isinstance(record, Mapping) and {"value", "low", "high", "n"} <= record.keys():
        yield [], record
    pairs = record.items() if isinstance(record, Mapping) else enumerate(record) if isinstance(record, list) else ()
    for key, value in pairs:
        if isinstance(value, float):
            yield [str(key)], value
        else:
            for place, leaf in _shares(value):
                yield [str(key), *place], leaf


def _with_interval(value: Any) -> tuple[float, float | None, float | None, int | None]:
    if isinstance(value, float):
        return value, None, None, None
    return (math.nan if value["value"] is None else value["value"]), value["low"], value["high"], value["n"]
